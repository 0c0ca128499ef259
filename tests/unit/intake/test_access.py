"""Who is let in, how many at once, how fast."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.intake.access import (
    ALL_TAKEN,
    NO_SENDER,
    SENDER_HAS_ENOUGH,
    STOPPING,
    UNKNOWN_ADDRESS,
    UNKNOWN_CALLED_AE_TITLE,
    UNKNOWN_CALLING_AE_TITLE,
    UNLISTED,
    AccessRules,
    Pace,
    Places,
    Rejection,
    SourceRule,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CAMERA = SourceRule("camera", "VISUCAM", ip_network("10.1.2.0/24"))
WARD = SourceRule("ward", None, ip_network("10.1.0.0/16"))
TITLE = SourceRule("title", "CLARUS")
SIX = SourceRule("six", "SIX", ip_network("fd00::/8"))
LISTED = AccessRules("OCUNET", (CAMERA, WARD, TITLE, SIX), others=None)


@pytest.mark.parametrize(
    ("called", "calling", "address", "expected"),
    [
        ("OCUNET", "VISUCAM", "10.1.2.3", CAMERA),
        ("OCUNET", "VISUCAM", "10.1.3.3", WARD),
        ("OCUNET", "ANYBODY", "10.1.2.3", WARD),
        ("OCUNET", "CLARUS", "192.0.2.1", TITLE),
        ("OCUNET", "CLARUS", "10.1.2.3", WARD),
        ("OCUNET", "VISUCAM", "::ffff:10.1.2.3", CAMERA),
        ("OCUNET", "SIX", "fd00::1", SIX),
        ("OCUNET", "SIX", "fd00::1%eth0", SIX),
        ("OCUNET", "VISUCAM", "192.0.2.1", UNKNOWN_ADDRESS),
        ("OCUNET", "SIX", "192.0.2.1", UNKNOWN_ADDRESS),
        ("OCUNET", "SIX", "not an address", UNKNOWN_ADDRESS),
        ("OTHER", "VISUCAM", "10.1.2.3", UNKNOWN_CALLED_AE_TITLE),
        ("ocunet", "VISUCAM", "10.1.2.3", UNKNOWN_CALLED_AE_TITLE),
    ],
)
def test_the_first_source_that_fits_counts(
    called: str, calling: str, address: str, expected: SourceRule | Rejection
) -> None:
    assert LISTED.judge(called, calling, address) == expected


def test_an_ae_title_that_no_source_has_is_said_to_be_unknown() -> None:
    rules = AccessRules("OCUNET", (CAMERA, TITLE), others=None)
    assert rules.judge("OCUNET", "STRANGER", "10.1.2.3") == UNKNOWN_CALLING_AE_TITLE


def test_without_a_list_anybody_may_send_and_is_nobody_in_particular() -> None:
    rules = AccessRules("OCUNET", (CAMERA,))
    assert rules.judge("OCUNET", "STRANGER", "192.0.2.1") == UNLISTED
    assert rules.judge("OCUNET", "VISUCAM", "10.1.2.3") == CAMERA
    assert AccessRules().judge("ANY", "STRANGER", "192.0.2.1") == UNLISTED


def test_places_are_counted_in_all_and_for_each_source() -> None:
    places, busy = Places(3), SourceRule("busy", max_associations=2)
    assert [places.take(busy) for _ in range(3)] == [None, None, SENDER_HAS_ENOUGH]
    assert places.take(UNLISTED) is None
    assert places.take(UNLISTED) == ALL_TAKEN
    places.leave(busy)
    assert places.taken == 2
    assert places.take(busy) is None
    places.close()
    places.leave(busy)
    assert places.take(busy) == STOPPING


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.floats(0, 40), max_size=60),
)
def test_no_sixty_seconds_ever_hold_more_than_the_number(limit: int, steps: list[float]) -> None:
    now = 0.0
    pace, source = Pace(lambda: now), SourceRule("fast", max_instances_per_minute=limit)
    taken: list[float] = []
    for step in steps:
        now += step
        recent = sum(1 for moment in taken if moment > now - 60)
        assert pace.may_send(source) == (recent < limit)
        if recent < limit:
            taken.append(now)


def test_each_source_has_a_pace_of_its_own_and_most_have_none() -> None:
    clock: Callable[[], float] = lambda: 0.0  # noqa: E731 - a clock that stands still
    pace = Pace(clock)
    one, other = (SourceRule(name, max_instances_per_minute=1) for name in ("one", "other"))
    assert [pace.may_send(source) for source in (one, other, one, other)] == [True, True, False, False]
    assert all(pace.may_send(UNLISTED) for _ in range(1000))


def test_an_archive_that_commits_is_let_in_and_sends_nothing() -> None:
    rules = AccessRules("OCUNET", (CAMERA, TITLE, SIX), others=None, committers={"ARCHIVE": "pacs", "SIX": "six"})
    assert rules.judge("OCUNET", "ARCHIVE", "192.0.2.1") == NO_SENDER
    assert rules.commits_for("ARCHIVE", "192.0.2.1") == "pacs"
    # A source names the address that it comes from.
    assert rules.judge("OCUNET", "SIX", "192.0.2.1") == UNKNOWN_ADDRESS
    assert (rules.commits_for("SIX", "192.0.2.1"), rules.commits_for("SIX", "fd00::1")) == ("", "six")
    assert (rules.judge("OCUNET", "CLARUS", "192.0.2.1"), rules.commits_for("CLARUS", "192.0.2.1")) == (TITLE, "")


def test_where_anybody_may_send_an_archive_may_too_and_only_archives_commit() -> None:
    rules = AccessRules("OCUNET", (CAMERA,), committers={"ARCHIVE": "pacs"})
    assert rules.judge("OCUNET", "ARCHIVE", "192.0.2.1") == UNLISTED
    assert (rules.commits_for("ARCHIVE", "192.0.2.1"), rules.commits_for("STRANGER", "192.0.2.1")) == ("pacs", "")
