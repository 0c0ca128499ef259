"""The drift watch over nights: what it must notice in the first one, and what it must not take for a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.drift import Camera, Part
from ocunet_pacs.drift.sample import PATTERN
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.pipeline.drift_watch import STANDING, WatchRule
from tests.nights import (
    CAMERA,
    DAY,
    Clinic,
    Measured,
    RememberedNights,
    another_camera,
    drawn_eyes,
    dusty,
    photographed,
    smeared,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ocunet_pacs.domain.drift import Finding, Night

Pools = dict[str, list[Measured]]
SECOND = Camera.of("Acme", "Retina 7", "0816", "", "")
DAYS = WatchRule().days


@pytest.fixture(scope="session")
def pools() -> Pools:
    """The same drawn eyes, as two kinds of patient each, through a clean lens and through others."""
    eyes = drawn_eyes(24)
    lenses = {"clean": lambda rgb: rgb, "dust": dusty, "smear": smeared, "other": another_camera}
    return {name: [one for seed in range(2) for one in photographed(eyes, seed, lens)] for name, lens in lenses.items()}


def watched(pools: Pools, seed: int = 1) -> Clinic:
    """A clinic whose camera just got its reference."""
    clinic = Clinic(RememberedNights(), seed)
    clinic.ordinary(pools["clean"], DAYS)
    assert not alerts(clinic.nights[-1])
    return clinic


def alerts(night: Night, camera_id: int | None = None) -> dict[str, Finding]:
    return {found.measure: found for found in night.findings if found.alert and camera_id in {None, found.camera_id}}


def standing(night: Night, camera_id: int = 1) -> str:
    [words] = [found.words for found in night.findings if (found.camera_id, found.measure) == (camera_id, STANDING)]
    return words


@pytest.mark.parametrize("seed", range(3))
def test_thirty_ordinary_nights_raise_nothing(pools: Pools, seed: int) -> None:
    clinic = watched(pools, seed)
    clinic.ordinary(pools["clean"], 30)
    assert [alerts(night) for night in clinic.nights] == [{}] * (DAYS + 30)
    assert all(len(night.findings) > 25 for night in clinic.nights[DAYS:]), "each was compared in full"


@pytest.mark.parametrize(
    ("lens", "shift", "expected"),
    [
        ("dust", 0.0, {PATTERN}),
        ("smear", 0.0, {"structure", "colour_clutter"}),
        ("other", 0.0, {"pixels", "evenness", "blue"}),
        ("clean", 1.5, {"every label"}),
        ("clean", -1.5, {"every label"}),
    ],
)
def test_a_change_is_noticed_in_the_first_night(pools: Pools, lens: str, shift: float, expected: set[str]) -> None:
    clinic = watched(pools)
    clinic.open((CAMERA, pools[lens], shift))
    found = alerts(clinic.night())
    assert found.keys() >= expected
    assert all(one.value > one.limit for one in found.values())
    assert {one.part for one in found.values()} == {Part.SCORES if shift else Part.IMAGE}
    assert "measures have changed" in standing(clinic.nights[-1])


def test_the_speck_is_named_by_its_place(pools: Pools) -> None:
    clinic = watched(pools)
    clinic.open((CAMERA, pools["dust"], 0.0))
    words = alerts(clinic.night())[PATTERN].words
    assert words.startswith(("67% from the left and 67%", "58% from the left and 30%", "36% from the left and 64%")), (
        words
    )
    assert "darker" in words


@pytest.mark.parametrize(("lens", "like"), [("clean", "like Acme Retina 7, serial 0815"), ("other", "unlike every")])
def test_a_camera_that_was_never_seen_is_named_and_nothing_else_is_said(pools: Pools, lens: str, like: str) -> None:
    clinic = watched(pools)
    clinic.open((CAMERA, pools["clean"], 0.0), (SECOND, pools[lens], 0.0))
    [found] = alerts(clinic.night()).values()
    assert (found.camera_id, found.part, found.measure) == (2, Part.CAMERA, STANDING)
    assert found.words.startswith(f"new since {(clinic.now - DAY / 2).date()}")
    assert like in found.words


def test_a_new_camera_is_watched_once_it_has_a_reference_of_its_own(pools: Pools) -> None:
    clinic = watched(pools)
    for _ in range(DAYS + 1):
        clinic.open((CAMERA, pools["clean"], 0.0), (SECOND, pools["other"], 0.0))
        clinic.night()
    assert alerts(clinic.nights[-1]) == {}
    assert standing(clinic.nights[-1], 2).startswith("as before")
    clinic.open((CAMERA, pools["clean"], 0.0), (SECOND, pools["clean"], 0.0))
    clinic.night()
    assert len(alerts(clinic.nights[-1], 2)) > 5
    assert alerts(clinic.nights[-1], 1) == {}


def test_the_cameras_of_a_site_that_begins_are_not_new(pools: Pools) -> None:
    clinic = Clinic(RememberedNights(), 1)
    clinic.open((CAMERA, pools["clean"], 0.0), (SECOND, pools["clean"], 0.0))
    night = clinic.night()
    assert alerts(night) == {}
    assert [standing(night, number) for number in (1, 2)] == [
        f"collecting its reference: 80 of 200 photographs, 1 of {DAYS} days"
    ] * 2


def test_what_a_person_accepts_is_the_reference_from_then_on(pools: Pools) -> None:
    clinic = watched(pools)
    since = clinic.now
    for _ in range(DAYS + 2):
        clinic.open((CAMERA, pools["other"], 0.0))
        assert alerts(clinic.night())
    assert clinic.ledger.forget_baselines(1, since) == 2
    clinic.ordinary(pools["other"], 2)
    assert [alerts(night) for night in clinic.nights[-2:]] == [{}, {}]
    clinic.open((CAMERA, pools["clean"], 0.0))
    assert alerts(clinic.night()), "the old look is the change now"


def test_other_weights_begin_with_other_scores_and_the_same_pixels(pools: Pools) -> None:
    clinic = watched(pools)
    clinic.bundle = "c" * 64
    clinic.open((CAMERA, pools["dust"], 3.0))
    found = clinic.night().findings
    assert {one.part for one in found} == {Part.CAMERA, Part.IMAGE}
    assert alerts(clinic.nights[-1]).keys() == {PATTERN}


def test_few_patients_are_no_night_and_days_are_taken_together(pools: Pools) -> None:
    clinic = watched(pools)
    clinic.patients = 6
    clinic.open((CAMERA, pools["dust"], 0.0))
    night = clinic.night()
    assert [found.measure for found in night.findings] == [STANDING]
    assert standing(night) == "too few to compare: 12 photographs of 6 patients"
    for _ in range(3):
        clinic.open((CAMERA, pools["dust"], 0.0))
        clinic.night()
    assert alerts(clinic.nights[-1]).keys() == {PATTERN}
    assert clinic.nights[-1].findings[0].studies == 24


def test_a_camera_that_sends_no_more_is_said_to_be_silent(pools: Pools) -> None:
    clinic = watched(pools)
    last = clinic.ledger.cameras()[0].last_seen_at
    clinic.day += 10
    night = clinic.night()
    assert standing(night) == f"silent since {last.date()}: 0 photographs of 0 patients"
    assert alerts(night) == {}


def test_on_a_database_each_camera_is_judged_by_itself_and_a_night_done_twice_is_the_same(
    engine: Engine, pools: Pools
) -> None:
    ledger = SqlJobs(engine)
    clinic = Clinic(ledger, 4, engine=engine, patients=30)
    for _ in range(DAYS):
        clinic.open((CAMERA, pools["clean"], 0.0), (SECOND, pools["clean"], 0.0))
    assert alerts(clinic.night()) == {}
    third = Camera.of("", "", "", "", "WATCHED-FOLDER")
    clinic.open((CAMERA, pools["dust"], 0.0), (SECOND, pools["clean"], 1.5), (third, pools["clean"], 0.0))
    night = clinic.night()
    first, second, new = (camera.id for camera in ledger.cameras())
    assert alerts(night, first).keys() == {PATTERN}
    assert {one.part for one in alerts(night, second).values()} == {Part.SCORES}
    assert alerts(night, new).keys() == {STANDING}
    assert ledger.nights() == [night] == [clinic.night()]
    assert ledger.remove_observations(clinic.now - 2 * DAY, 10_000) > 0
    assert clinic.night() == night, "what it needs is in the references"
