"""What waits, as Prometheus sees it: true or absent, never old, and never at the price of a scrape that hangs."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from ocunet_pacs.app.gauges import AskedGauges, Values, destination_values, queue_values
from ocunet_pacs.domain.job import Done, Never
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.metrics import ASKED, PREFIX
from tests.conformance.jobs.builders import NOW, claimed, queued, reported

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = timedelta(minutes=1)


def scraped(**questions: Callable[[], Values]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(AskedGauges(questions, patience=0.05))
    return registry


def test_what_waits_has_a_number_and_an_age_by_kind() -> None:
    jobs = MemoryJobs()
    for number in range(3):
        queued(jobs, f"1.2.{number}")
    jobs.finish(claimed(jobs), Never("hopeless"), NOW, 0.0)
    found = queue_values(jobs.backlog(NOW + MINUTE), NOW + MINUTE)
    states = {state: number for (kind, state), number in found["queue_jobs"].items() if kind == "analyse"}
    assert states == {"waiting": 2.0, "running": 0.0, "dead": 1.0}
    assert found["queue_oldest_seconds"] == {("analyse",): 60.0, ("deliver",): 0.0, ("shadow",): 0.0}
    assert found["queue_behind_seconds"][("analyse",)] == 60.0


def test_every_destination_of_the_settings_has_a_state_and_a_removed_one_while_something_waits_for_it() -> None:
    jobs = MemoryJobs()
    reported(jobs, ["2.25.1"], ["pacs", "removed"])
    jobs.note_down("pacs", "refused", NOW, MINUTE)
    jobs.note_down("forgotten", "refused", NOW, MINUTE)

    def look() -> Values:
        found = jobs.backlog(NOW + MINUTE)
        return destination_values(["pacs", "viewer"], found.destinations, jobs.destination_states(), NOW + MINUTE)

    assert look()["destination_down"] == {("pacs",): 1.0, ("removed",): 0.0, ("viewer",): 0.0}
    assert look()["destination_down_seconds"][("pacs",)] == 60.0
    assert look()["deliveries_waiting"] == {("pacs",): 1.0, ("removed",): 1.0, ("viewer",): 0.0}
    job = claimed(jobs, at=NOW + MINUTE)
    delivery = jobs.delivery(job.subject_id)
    jobs.record_delivery(delivery.id, 0, "", NOW, stored=True)
    assert look()["commitments_waiting"][(delivery.destination,)] == 1.0
    assert look()["commitment_lag_seconds"][(delivery.destination,)] == 60.0
    jobs.finish(job, Done(), NOW, 0.0)
    assert look()["commitment_lag_seconds"][("pacs",)] == 0.0


def test_what_hangs_or_breaks_is_left_out_and_said_to_be() -> None:
    go_on = Event()

    def hang() -> Values:
        go_on.wait(30)
        return {"studies_open": {(): 1.0}}

    def fail() -> Values:
        raise OSError("no disk")

    registry = scraped(queue=hang, disk=fail, size=lambda: {"database_bytes": {(): 7.0}})
    names = {family.name for family in registry.collect()}
    go_on.set()
    assert names == {"ocunet_database_bytes", "ocunet_asked_in_time"}
    values = {
        question: registry.get_sample_value("ocunet_asked_in_time", {"question": question})
        for question in ("queue", "disk", "size")
    }
    assert values["disk"] == 0.0
    assert values["size"] == 1.0


def test_gauges_are_named_with_exactly_their_labels() -> None:
    everything: Values = {name: {tuple("x" for _ in labels): 1.0} for name, (_, labels) in ASKED.items()}
    del everything["asked_in_time"]
    registry = scraped(all=lambda: everything)
    for name, (_, labels) in ASKED.items():
        value = "all" if name == "asked_in_time" else "x"
        assert registry.get_sample_value(PREFIX + name, dict.fromkeys(labels, value)) == 1.0
