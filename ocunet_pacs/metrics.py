"""Counters for Prometheus: what came in, what was refused and why, what housekeeping did. Never patient data.

A part is handed `Metrics.count` and counts by name; `COUNTERS` says what there is and with which labels. Under `serve`
the roles are processes of their own that write to one folder (prometheus_client's multi-process mode, switched on by
$PROMETHEUS_MULTIPROC_DIR before the process starts), and one of them answers for all.
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
COUNTERS = MappingProxyType(
    {
        "instances": ("Objects that were sent to us", ("way", "source", "outcome", "reason")),
        "associations": ("DICOM associations that were asked for", ("outcome", "reason")),
        "security_events": ("Senders turned away, and other events of security", ("kind",)),
        "studies_closed": ("Studies that counted as complete", ("cause",)),
        "patient_conflicts": ("Objects of one study that name another patient", ()),
        "images_assessed": ("Images that the model scored", ()),
        "images_not_assessed": ("Images that were not scored", ("reason",)),
        "reports": ("Reports made, by the highest urgency that they suggest", ("urgency",)),
        "deliveries": ("Objects offered to a destination", ("destination", "kind", "outcome")),
        "destination_outages": ("Times that a destination stopped answering", ("destination",)),
        "commitments": ("Transactions of storage commitment", ("destination", "outcome")),
        "files_removed": ("Files that retention removed", ("cause",)),
        "inconsistencies": ("Files without rows and rows without files, found", ("kind",)),
        "housekeeping_runs": ("Runs of each task of housekeeping", ("task", "outcome")),
        "shadow_studies": ("Reported studies that a candidate bundle looked at", ()),
        "shadow_images": ("Images that a candidate bundle looked at", ("outcome",)),
        "audit_messages": ("Messages of the audit trail", ("outcome",)),
        "backfill_studies": ("Past studies fetched from an archive", ("archive", "outcome")),
    }
)
"""Name without prefix and suffix -> what it counts, and its labels. On the wire: ocunet_<name>_total."""
GAUGES = MappingProxyType(
    {
        "housekeeping_last_success_timestamp_seconds": ("When each task last ended well, in Unix time", ("task",)),
        "store_free_bytes": ("Room on the store's file system", ()),
    }
)


class Metrics:
    """One process's counters. Threads may share it."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"ocunet_{name}", text, labels, registry=registry)
            for name, (text, labels) in COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(f"ocunet_{name}", text, labels, registry=registry, multiprocess_mode="mostrecent")
            for name, (text, labels) in GAUGES.items()
        }
        self._registry = registry

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Add to a counter of `COUNTERS`, with exactly its labels (KeyError, ValueError otherwise)."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge of `GAUGES`."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Answer GET /metrics in a thread of its own; what ends that. Port 0: nothing is served.

        A port that is taken costs the metrics, never the work: it is logged, and nothing is served.
        """
        if port == 0:
            return _nothing
        registry = self._registry
        if os.environ.get(MULTIPROCESS_VARIABLE):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            structlog.get_logger().warning("metrics_not_served", host=host, port=port, problem=error.strerror)
            return _nothing

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop


def _nothing() -> None:
    """Nothing is served, so there is nothing to end."""
