"""Gauges that are read when Prometheus asks: what waits, where it goes, how much room there is.

The database is asked in a thread of its own, at most every few seconds, and waited for no longer than a scrape can
wait. What cannot be had in time is left out, never repeated: a graph with a gap is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ocunet_pacs.app.asking import Asking
from ocunet_pacs.app.drift import TASK as DRIFT
from ocunet_pacs.app.health import PATIENCE_SECONDS, database_file, free_beside
from ocunet_pacs.domain.drift import Part
from ocunet_pacs.drift.sample import PATTERN
from ocunet_pacs.metrics import ASKED, PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from prometheus_client.core import Metric

    from ocunet_pacs.app.health import Liveness, Readiness
    from ocunet_pacs.domain.backlog import Backlog, DestinationBacklog
    from ocunet_pacs.domain.drift import DriftLedger
    from ocunet_pacs.domain.ledger import DestinationState
    from ocunet_pacs.domain.upkeep import TaskRun
    from ocunet_pacs.jobs.sql import SqlJobs
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.store.files import Files

KEEP_SECONDS = 5.0

Samples = dict[tuple[str, ...], float]
"""By the values of a gauge's labels in their order."""
Values = dict[str, Samples]
"""By the name of a gauge of `ASKED`."""


class AskedGauges(Collector):
    """The questions, by name, whose answers are gauges of `ASKED`; and one gauge that says which were answered."""

    def __init__(self, questions: dict[str, Callable[[], Values]], *, patience: float = PATIENCE_SECONDS) -> None:
        self._asking = {
            name: Asking(question, keep=KEEP_SECONDS, patience=patience) for name, question in questions.items()
        }

    def describe(self) -> Iterator[Metric]:
        """So that nothing is asked when this is registered."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """What is known now."""
        for asking in self._asking.values():
            asking.begin()
        answered = {}
        for name, asking in self._asking.items():
            try:
                values = asking()
            except Exception:  # noqa: BLE001 - a scrape shows what there is; /ready says what is wrong
                answered[name] = 0.0
                continue
            answered[name] = 1.0
            for gauge, samples in values.items():
                if samples:
                    yield _family(gauge, samples)
        yield _family("asked_in_time", {(name,): value for name, value in answered.items()})


def asked_gauges(
    in_force: Callable[[], Settings],
    jobs: SqlJobs,
    files: Files,
    *,
    live: Liveness,
    ready: Readiness,
    now: Callable[[], datetime],
) -> AskedGauges:
    """All gauges of `ASKED`, of this site, by the settings that count when they are asked."""

    def health() -> Values:
        checks: Samples = {(name,): float(check.ok) for name, check in ready.checks().items()}
        return {"ready": checks, "live": {(): float(live()[0])}}

    def queue() -> Values:
        moment = now()
        found = jobs.backlog(moment)
        names = [one.name for one in in_force().outgoing]
        states = destination_values(names, found.destinations, jobs.destination_states(), moment)
        ahead: Samples = {(): jobs.clock.host_is_ahead().total_seconds()}
        return queue_values(found, moment) | states | {"host_clock_ahead_seconds": ahead}

    def disk() -> Values:
        settings = in_force()
        place = database_file(settings)
        beside: Samples = {} if place is None else {(): float(free_beside(place))}
        return {
            "store_free_bytes": {(): float(files.free_bytes())},
            "store_least_free_bytes": {(): float(settings.store.min_free)},
            "database_free_bytes": beside,
        }

    def drift() -> Values:
        return drift_values(jobs, jobs.task_runs()) if in_force().drift.enabled else {}

    questions: dict[str, Callable[[], Values]] = {
        "queue": queue,
        "database_size": lambda: {"database_bytes": {(): float(jobs.database_bytes())}},
        "disk": disk,
        "drift": drift,
        # Its checks wait for themselves.
        "health": health,
    }
    return AskedGauges(questions, patience=PATIENCE_SECONDS + 1.0)


def queue_values(found: Backlog, now: datetime) -> Values:
    """What waits, by kind."""
    states: Samples = {
        (str(one.kind), word): float(number)
        for one in found.kinds
        for word, number in (("waiting", one.waiting), ("running", one.running), ("dead", one.dead))
    }
    return {
        "queue_jobs": states,
        "queue_oldest_seconds": {(str(one.kind),): _age(one.oldest_at, now) for one in found.kinds},
        "queue_behind_seconds": {(str(one.kind),): _age(one.due_since, now) for one in found.kinds},
        "studies_open": {(): float(found.open_studies)},
        "studies_open_oldest_seconds": {(): _age(found.open_since, now)},
    }


def drift_values(ledger: DriftLedger, runs: Sequence[TaskRun]) -> Values:
    """What the last night found, by camera, and when it ended: a night of a clinic that is closed finds nothing."""
    ended = next((run.succeeded_at for run in runs if run.task == DRIFT), None)
    watched: Values = {} if ended is None else {"drift_night_timestamp_seconds": {(): ended.timestamp()}}
    night = next(iter(ledger.nights()), None)
    if night is None:
        return watched
    digests = {camera.id: camera.digest for camera in ledger.cameras()}
    alerts: Samples = {}
    for found in night.findings:
        key = (digests[found.camera_id], str(found.part))
        alerts[key] = alerts.get(key, 0.0) + found.alert
    return watched | {
        "drift_psi": {
            (digests[found.camera_id], found.measure): found.value
            for found in night.findings
            if found.part is not Part.CAMERA and found.measure != PATTERN
        },
        "drift_alerts": alerts,
    }


def destination_values(
    names: Sequence[str],
    waiting: Sequence[DestinationBacklog],
    states: Sequence[DestinationState],
    now: datetime,
) -> Values:
    """How each destination of the settings stands. One that is no longer there counts while something waits for it."""
    backlog = {one.destination: one for one in waiting}
    down = {one.name: one.down_since for one in states}
    shown = sorted({*names, *backlog})
    return {
        "deliveries_waiting": {(n,): float(backlog[n].deliveries if n in backlog else 0) for n in shown},
        "destination_down": {(n,): float(down.get(n) is not None) for n in shown},
        "destination_down_seconds": {(n,): _age(down.get(n), now) for n in shown},
        "commitments_waiting": {(n,): float(backlog[n].uncommitted if n in backlog else 0) for n in shown},
        "commitment_lag_seconds": {
            (n,): _age(backlog[n].uncommitted_since if n in backlog else None, now) for n in shown
        },
    }


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


def _family(name: str, samples: Samples) -> Metric:
    text, labels = ASKED[name]
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, value)
    return family
