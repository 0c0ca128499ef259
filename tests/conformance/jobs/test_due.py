"""When a study is due: the quiet period of each source, and senders that say when they are done."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.conformance.jobs.builders import DAY, NOW, QUIET, SECOND, closed, image

if TYPE_CHECKING:
    from tests.conformance.jobs.builders import Store

STUDY = "1.2.1"
LONG = 5 * QUIET


def due_after(store: Store, wait: timedelta) -> bool:
    return bool(store.studies_due(NOW + wait, DAY))


def test_the_longest_quiet_period_of_its_sources_counts(store: Store) -> None:
    store.record_instance(image("1.1", quiet=LONG))
    store.record_instance(image("1.2", at=NOW + SECOND, quiet=QUIET))
    assert not due_after(store, LONG - SECOND)
    assert due_after(store, LONG)


def test_a_closed_study_forgets_its_old_quiet_period(store: Store) -> None:
    store.record_instance(image("1.1", quiet=LONG))
    closed(store, STUDY, NOW + LONG)
    store.record_instance(image("1.2", at=NOW + SECOND, quiet=QUIET))
    assert due_after(store, SECOND + QUIET)


def test_a_released_study_is_due_at_once(store: Store) -> None:
    store.record_instance(image("1.1", quiet=QUIET))
    store.record_instance(image("1.2", "1.2.2", quiet=QUIET))
    assert store.hasten_studies(frozenset({STUDY, "a stranger"})) == 1
    [study] = store.studies_due(NOW, DAY)
    assert study.study_instance_uid == STUDY
    assert study.quiet_until == study.last_received_at
    assert store.hasten_studies({STUDY}) == 0, "it is due already"
    assert store.hasten_studies(set()) == 0


def test_another_association_that_still_sends_puts_its_quiet_period_first(store: Store) -> None:
    store.record_instance(image("1.1", quiet=QUIET))
    store.hasten_studies({STUDY})
    [seen] = store.studies_due(NOW, DAY)
    store.record_instance(image("1.2", at=NOW + SECOND, quiet=QUIET))
    assert store.close_study(seen, NOW + SECOND, 3) is None
    assert not due_after(store, QUIET)
    assert due_after(store, SECOND + QUIET)


def test_a_release_after_the_study_was_closed_does_nothing(store: Store) -> None:
    store.record_instance(image("1.1", quiet=QUIET))
    closed(store, STUDY, NOW + QUIET)
    assert store.hasten_studies({STUDY}) == 0
    assert not due_after(store, DAY)


def test_every_patient_of_a_released_study_is_due(store: Store) -> None:
    store.record_instance(image("1.1", quiet=QUIET, patient="roe"))
    store.record_instance(image("1.2", quiet=QUIET, patient="doe"))
    assert store.hasten_studies({STUDY}) == 2
