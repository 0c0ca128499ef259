"""Cameras, observations, references and nights, on every adapter."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest

from ocunet_pacs.domain.drift import Baseline, Camera, Finding, Night, Observation, Part
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import DAY, NOW, SECOND, image

Store = MemoryJobs | SqlJobs
FIRST, SECOND_CAMERA = Camera("a" * 16, "Acme Retina 7, serial 1"), Camera("b" * 16, "Acme Retina 7, serial 2")
TODAY = date(2024, 5, 1)


def observation(instance_id: int, camera: Camera = FIRST, frame: int | None = None, **changed: object) -> Observation:
    return replace(
        Observation(instance_id, frame, camera, {"red": 120.0}, {"DR": 0.25}, "", bytes(range(16))), **changed
    )


def received(store: Store, *studies: str) -> list[int]:
    """One image of each study; their ids."""
    ids = []
    for number, study in enumerate(studies):
        assert store.record_instance(image(f"{study}.{number}", study))
        kept = store.find_instance(f"{study}.{number}")
        assert kept is not None
        ids.append(kept.id)
    return ids


def test_what_is_kept_of_a_photograph_comes_back_with_its_study_and_time(store: Store) -> None:
    one, two, other = received(store, "1.2.1", "1.2.1", "1.2.2")
    store.note_observations([observation(one), observation(two, measures={"red": 1 / 3}, scores={})], "abc", NOW)
    store.note_observations([observation(other, refused="ungradable"), observation(other, frame=2)], "abd", NOW + DAY)
    [camera] = store.cameras()
    assert (camera.digest, camera.words) == (FIRST.digest, FIRST.words)
    assert (camera.first_seen_at, camera.last_seen_at) == (NOW, NOW + DAY)
    kept = store.observed(camera.id)
    assert [one.at for one in kept] == [NOW, NOW, NOW + DAY, NOW + DAY]
    assert kept[0].study_id == kept[1].study_id != kept[2].study_id == kept[3].study_id
    assert [one.bundle_digest for one in kept] == ["abc", "abc", "abd", "abd"]
    assert [one.refused for one in kept] == ["", "", "ungradable", ""]
    assert (kept[0].measures, kept[0].scores, kept[0].pattern) == ({"red": 120.0}, {"DR": 0.25}, bytes(range(16)))
    assert kept[1].measures["red"] == pytest.approx(1 / 3, rel=1e-4)
    assert store.observed(camera.id, since=NOW) == kept[2:]
    assert store.observed(camera.id, until=NOW) == kept[:2]
    assert store.observed(camera.id + 1) == []


def test_a_photograph_counts_once_whatever_its_revision(store: Store) -> None:
    [one] = received(store, "1.2.1")
    store.note_observations([observation(one)], "abc", NOW)
    store.note_observations([observation(one, measures={"red": 1.0})], "abd", NOW + DAY)
    [camera] = store.cameras()
    [kept] = store.observed(camera.id)
    assert (kept.at, kept.bundle_digest, kept.measures) == (NOW, "abc", {"red": 120.0})
    assert camera.last_seen_at == NOW + DAY


def test_what_is_no_number_is_left_out(store: Store) -> None:
    [one] = received(store, "1.2.1")
    store.note_observations([observation(one, measures={"red": math.nan, "blue": math.inf, "green": 2.0})], "abc", NOW)
    [kept] = store.observed(store.cameras()[0].id)
    assert kept.measures == {"green": 2.0}


def test_cameras_are_told_apart_and_stay_in_the_order_in_which_they_came(store: Store) -> None:
    one, two = received(store, "1.2.1", "1.2.2")
    store.note_observations([observation(two, SECOND_CAMERA)], "abc", NOW)
    store.note_observations([observation(one, FIRST)], "abc", NOW + SECOND)
    assert [camera.digest for camera in store.cameras()] == [SECOND_CAMERA.digest, FIRST.digest]
    assert [len(store.observed(camera.id)) for camera in store.cameras()] == [1, 1]


def test_a_reference_stays_until_a_person_wants_another(store: Store) -> None:
    [one] = received(store, "1.2.1")
    store.note_observations([observation(one)], "abc", NOW)
    [camera] = store.cameras()
    pixels = Baseline(camera.id, Part.IMAGE, "", NOW, "{}")
    scores = Baseline(camera.id, Part.SCORES, "abc", NOW, "{}")
    for kept in (pixels, scores, replace(pixels, content="another")):
        store.keep_baseline(kept)
    assert store.baselines(camera.id) == [pixels, scores]
    assert store.baselines(camera.id + 1) == []
    assert store.forget_baselines(camera.id, NOW + DAY) == 2
    assert store.baselines(camera.id) == []
    assert store.cameras()[0].reference_since == NOW + DAY
    store.keep_baseline(pixels)
    assert store.baselines(camera.id) == [pixels]


def finding(camera_id: int, measure: str = "red", *, alert: bool = False) -> Finding:
    return Finding(camera_id, Part.IMAGE, measure, 0.5, 0.25, alert, 40, 20, "redder")


def test_nights_come_back_newest_first_and_a_night_done_again_replaces_itself(store: Store) -> None:
    [one] = received(store, "1.2.1")
    store.note_observations([observation(one)], "abc", NOW)
    [camera] = store.cameras()
    nights = [
        Night(TODAY + timedelta(days=number), NOW + number * DAY, (finding(camera.id), finding(camera.id, "blue")))
        for number in range(3)
    ]
    for night in nights:
        store.keep_night(night)
    assert store.nights() == [nights[2]]
    assert store.nights(limit=9) == nights[::-1]
    assert store.nights(since=TODAY + timedelta(days=1), limit=9) == [nights[2], nights[1]]
    again = replace(nights[2], ran_at=NOW + 9 * DAY, findings=(finding(camera.id, alert=True),))
    store.keep_night(again)
    assert store.nights() == [again]
    assert store.remove_nights(TODAY + timedelta(days=2)) == 4
    assert store.nights(limit=9) == [again]


def test_the_oldest_observations_go_and_their_cameras_stay(store: Store) -> None:
    ids = received(store, "1.2.1", "1.2.2", "1.2.3")
    for number, instance_id in enumerate(ids):
        store.note_observations([observation(instance_id)], "abc", NOW + number * DAY)
    [camera] = store.cameras()
    assert store.remove_observations(NOW + 2 * DAY, 1) == 1
    assert store.remove_observations(NOW + 2 * DAY, 9) == 1
    assert store.remove_observations(NOW + 2 * DAY, 9) == 0
    assert [kept.at for kept in store.observed(camera.id)] == [NOW + 2 * DAY]
    assert store.cameras() == [camera]


def test_nothing_observed_is_nothing_written(store: Store) -> None:
    store.note_observations([], "abc", NOW)
    assert store.cameras() == []
    assert store.nights() == []
