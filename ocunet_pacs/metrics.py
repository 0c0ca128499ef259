"""What Prometheus is told: what came in, what became of it and how long that took. Never patient data.

A part is handed `Metrics.count` or `Metrics.observe` and counts by name; the tables say what there is and with which
labels. Under `serve` the roles are processes of their own that write to one folder (prometheus_client's multi-process
mode, switched on by $PROMETHEUS_MULTIPROC_DIR before the process starts), and one of them answers for all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

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
        "jobs": ("Turns of jobs in a worker, by how they ended", ("kind", "outcome", "reason")),
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
        "store_bytes": ("Files in the store, in bytes, counted every hour", ("part",)),
        "loop_turn_timestamp_seconds": ("When a role's loops last turned, in Unix time", ("role",)),
        "gpu_memory_bytes": (
            "Memory of a worker's GPU: total, used by anybody, and kept by this worker, as of its last pass",
            ("role", "of"),
        ),
        "model_answer_timestamp_seconds": (
            "When a worker last said that its model is loaded and does not hang, in Unix time",
            ("role",),
        ),
    }
)
"""Name without prefix -> what it says, and its labels. Set by whoever knows."""
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_NUMBERS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
HISTOGRAMS = MappingProxyType(
    {
        "assembly_seconds": ("From a study's last image until it counted as complete", ("cause",), _SECONDS),
        "job_wait_seconds": ("From when a job was due until a worker took it", ("kind",), _SECONDS),
        "analysis_seconds": (
            "What an analysis waited for: files and pixels, the network (in batches with others), its results",
            ("part",),
            _SECONDS,
        ),
        "delivery_seconds": ("One object on its way to a destination, until its answer", ("destination",), _SECONDS),
        "pass_seconds": (
            "One pass of the network; the rate of the sum is the share of time in which the device computes",
            ("role",),
            _SECONDS,
        ),
        "batch_photographs": ("Photographs in one pass of the network", ("role",), _NUMBERS),
    }
)
"""Name without prefix -> what is measured, its labels, and the upper ends of its buckets."""
ASKED = MappingProxyType(
    {
        "queue_jobs": ("Jobs that wait, run, or wait for a person (dead)", ("kind", "state")),
        "queue_oldest_seconds": ("Age of the oldest waiting job, due or put off; 0: none waits", ("kind",)),
        "queue_behind_seconds": (
            "For how long a job that somebody waits for could have been begun; 0: no worker is behind",
            ("kind",),
        ),
        "studies_open": ("Studies that are not complete yet", ()),
        "studies_open_oldest_seconds": ("For how long the oldest of them is open; 0: none is", ()),
        "deliveries_waiting": ("Objects on their way to a destination", ("destination",)),
        "destination_down": ("1 while nobody answers at a destination (its circuit is open)", ("destination",)),
        "destination_down_seconds": ("For how long; 0: it answers", ("destination",)),
        "commitments_waiting": ("Objects that a destination has and did not commit to yet", ("destination",)),
        "commitment_lag_seconds": ("For how long the first of them is stored; 0: there is none", ("destination",)),
        "store_free_bytes": ("Room on the store's file system", ()),
        "store_least_free_bytes": ("store.min_free: with less room C-STORE answers 0xA700", ()),
        "database_bytes": ("Size of the database", ()),
        "host_clock_ahead_seconds": ("How far this host's clock is ahead of the database's; negative: behind it", ()),
        "database_free_bytes": ("Room where an SQLite database lies", ()),
        "drift_psi": (
            "Population stability index of a camera's photographs, or of their scores, as the last night found it",
            ("camera", "measure"),
        ),
        "drift_alerts": (
            "Measures of a camera that have changed; of the part camera 1 while it is new",
            ("camera", "part"),
        ),
        "drift_night_timestamp_seconds": ("When the last nightly comparison of cameras ended well, in Unix time", ()),
        "ready": ("1 where a check of /ready is well", ("check",)),
        "live": ("1 where the loops of all roles that are needed turn", ()),
        "asked_in_time": ("1 where an answer came in time for this scrape; 0: its gauges are missing", ("question",)),
    }
)
"""Gauges that are read when somebody asks, by the one process that answers; left out where they cannot be had."""
PREFIX = "ocunet_"


class Metrics:
    """One process's counters. Threads may share it."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"{PREFIX}{name}", text, labels, registry=registry)
            for name, (text, labels) in COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(f"{PREFIX}{name}", text, labels, registry=registry, multiprocess_mode="mostrecent")
            for name, (text, labels) in GAUGES.items()
        }
        self._histograms = {
            name: Histogram(f"{PREFIX}{name}", text, labels, registry=registry, buckets=buckets)
            for name, (text, labels, buckets) in HISTOGRAMS.items()
        }
        self._registry = registry

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Add to a counter of `COUNTERS`, with exactly its labels (KeyError, ValueError otherwise)."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Add one measurement to a histogram of `HISTOGRAMS`."""
        self._histograms[name].labels(**labels).observe(value)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge of `GAUGES`."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def registry(self) -> CollectorRegistry:
        """What is counted here, or by all processes that count into one folder: for whoever answers, to add to."""
        shown = CollectorRegistry()
        if os.environ.get(MULTIPROCESS_VARIABLE):
            MultiProcessCollector(shown)  # type: ignore[no-untyped-call]
        else:
            shown.register(self._registry)
        return shown

    def gauge(self, name: str) -> dict[tuple[str, ...], float]:
        """A gauge of `GAUGES` as all processes last set it, by the values of its labels in their order."""
        labels = GAUGES[name][1]
        families: Iterable[Metric] = self._gauges[name].collect()
        if folder := os.environ.get(MULTIPROCESS_VARIABLE):
            # Not those of a process that is just being started, which are empty.
            files = [str(file) for file in Path(folder).glob("gauge_*.db") if file.stat().st_size]
            families = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for family in families
            if family.name == f"{PREFIX}{name}"
            for sample in family.samples
        }


@dataclass(frozen=True, slots=True)
class Described:
    """One metric as it is on the wire."""

    name: str
    type: str
    labels: tuple[str, ...]
    text: str


def catalogue() -> list[Described]:
    """Every metric that there is, by name: for documentation, and for tests of whatever names one."""
    found = [Described(f"{PREFIX}{name}_total", "counter", labels, text) for name, (text, labels) in COUNTERS.items()]
    for gauges in (GAUGES, ASKED):
        found += [Described(f"{PREFIX}{name}", "gauge", labels, text) for name, (text, labels) in gauges.items()]
    found += [Described(f"{PREFIX}{name}", "histogram", labels, text) for name, (text, labels, _) in HISTOGRAMS.items()]
    return sorted(found, key=lambda one: one.name)
