"""Spools: in order, across processes, within their limit, and whatever a power cut left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocunet_pacs.audit.spool import HEAD_BYTES, Spool, take_spools

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1 << 20


def take(folder: Path, limit: int = LIMIT) -> Spool:
    spools = take_spools(folder, "host", limit)
    for other in spools[1:]:
        other.close()
    return spools[0]


def drain(spool: Spool, most: int = 3) -> list[bytes]:
    found = []
    while not spool.is_empty:
        found += spool.waiting(most, LIMIT)
        spool.sent()
    return found


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(st.lists(st.binary(max_size=30), max_size=5), st.integers(0, 4), st.just("restart")), max_size=12
    )
)
def test_what_goes_in_comes_out_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[bytes] | int | str]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool, put, got = take(folder), [], []
    for step in steps:
        if isinstance(step, list):
            assert spool.append(step) == 0
            put += step
        elif isinstance(step, int):
            got += spool.waiting(step, LIMIT) if step and not spool.is_empty else []
            spool.sent() if step and not spool.is_empty else None
        else:
            spool.close()
            spool = take(folder)
    assert got + drain(spool) == put
    assert (folder / "host-0.spool").stat().st_size == (HEAD_BYTES if put else 0)
    spool.close()


def test_what_is_given_and_not_said_to_be_sent_is_given_again(tmp_path: Path) -> None:
    spool = take(tmp_path)
    spool.append([b"one", b"two"])
    assert spool.waiting(1, LIMIT) == [b"one"]
    spool.close()
    assert drain(take(tmp_path)) == [b"one", b"two"]


def test_the_first_that_does_not_fit_and_those_after_it_are_left_out(tmp_path: Path) -> None:
    spool = take(tmp_path, HEAD_BYTES + 10)
    assert spool.append([b"1234", b"12345", b"1"]) == 2
    assert drain(spool) == [b"1234"]
    assert spool.append([b"12345678"]) == 0, "there is room again"


@pytest.mark.parametrize("torn", [b"9", b"99 ", b"12 half", b"\0\0\0\0", b"x 1", b"99999999999 1"])
def test_a_torn_rest_is_cut_off_and_the_spool_goes_on(torn: bytes, tmp_path: Path) -> None:
    spool = take(tmp_path)
    spool.append([b"whole"])
    spool.close()
    with (tmp_path / "host-0.spool").open("ab") as file:
        file.write(torn)
    spool = take(tmp_path)
    assert drain(spool) == [b"whole"]
    spool.append([b"next"])
    assert drain(spool) == [b"next"]


@pytest.mark.parametrize("head", [b"", b"x" * HEAD_BYTES, b"\0" * HEAD_BYTES, b"9" * 5])
def test_a_damaged_head_costs_a_repetition_at_most(head: bytes, tmp_path: Path) -> None:
    (tmp_path / "host-0.spool").write_bytes(head)
    spool = take(tmp_path)
    spool.append([b"next"])
    assert drain(spool) == [b"next"]


def test_two_processes_have_two_spools_and_the_next_takes_over_what_they_left(tmp_path: Path) -> None:
    first, second = take(tmp_path), take(tmp_path)
    first.append([b"one"])
    second.belongs_to("deliver")
    second.append([b"two"])
    third = take_spools(tmp_path, "host", LIMIT)
    assert len(third) == 1, "both are held"
    assert third[0].is_empty
    for spool in (first, second, *third):
        spool.close()
    found = take_spools(tmp_path, "host", LIMIT)
    assert [drain(spool) for spool in found] == [[b"one"], [b"two"]]
    assert [spool.left_by for spool in found] == ["", "deliver"]


def test_hosts_that_share_a_store_keep_apart(tmp_path: Path) -> None:
    one, other = take_spools(tmp_path, "a/../b", LIMIT), take_spools(tmp_path, "c", LIMIT)
    one[0].append([b"one"])
    one[0].close()
    assert other[0].is_empty
    assert {path.name for path in tmp_path.iterdir()} == {"a----b-0.spool", "c-0.spool"}


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    take(tmp_path / "audit").append([b"one"])
    assert (tmp_path / "audit").stat().st_mode & 0o77 == 0
    assert (tmp_path / "audit" / "host-0.spool").stat().st_mode & 0o77 == 0
