"""Past studies: one suite for every adapter of `BackfillLedger`."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.backfill import FINAL, BackfillState, BackfillStudy
from ocunet_pacs.domain.upkeep import FileOwner
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.jobs.memory_backfill import MemoryBackfill
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.jobs.sql_backfill import SqlBackfill
from tests.conformance.jobs.builders import NOW, SECOND, claimed, closed, image, output, queued
from tests.conformance.jobs.test_ledger import finish
from tests.conformance.jobs.test_plans import plan

if TYPE_CHECKING:
    from sqlalchemy import Engine

OP = ("OP",)


@dataclass
class Rows:
    jobs: MemoryJobs | SqlJobs
    past: MemoryBackfill | SqlBackfill

    def found(self, uid: str = "1.2.1", archive: str = "pacs") -> BackfillStudy:
        [row] = self.past.note_found(archive, [uid], OP, NOW)
        return row

    def claimed(self, uid: str = "1.2.1", owner: str = "me") -> BackfillStudy:
        row = self.past.claim_study(self.found(uid), owner, NOW)
        assert row is not None
        return row


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.peers)])
def rows(request: pytest.FixtureRequest) -> Rows:
    if request.param == "memory":
        jobs = MemoryJobs()
        return Rows(jobs, MemoryBackfill(jobs))
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    return Rows(SqlJobs(engine), SqlBackfill(engine))


def test_a_study_is_added_once_however_often_it_is_found(rows: Rows) -> None:
    many = [f"1.2.{n}" for n in range(1200)]
    first = rows.past.note_found("pacs", many, OP, NOW)
    again = rows.past.note_found("pacs", many, OP, NOW + SECOND)
    assert first == again
    assert [row.study_instance_uid for row in first] == many
    assert first[0] == BackfillStudy(
        first[0].id, "pacs", "1.2.0", OP, BackfillState.FOUND, 0, 0, None, None, found_at=NOW, changed_at=NOW
    )
    rows.past.note_found("other", many[:3], OP, NOW)
    assert rows.past.past_study_counts() == {("pacs", BackfillState.FOUND): 1200, ("other", BackfillState.FOUND): 3}
    assert rows.past.note_found("pacs", [], OP, NOW) == []


def test_looking_up_adds_nothing(rows: Rows) -> None:
    row = rows.found()
    assert rows.past.look_up("pacs", ["1.2.1", "1.2.2"]) == {"1.2.1": row}
    assert rows.past.look_up("other", ["1.2.1"]) == {}


def test_of_two_claims_of_what_both_saw_one_holds(rows: Rows) -> None:
    row = rows.found()
    mine = rows.past.claim_study(row, "me", NOW)
    assert mine is not None
    assert (mine.state, mine.owner, mine.attempts) == (BackfillState.FETCHING, "me", 1)
    assert rows.past.claim_study(row, "you", NOW) is None
    assert rows.past.look_up("pacs", ["1.2.1"])["1.2.1"] == mine


@pytest.mark.parametrize("state", [state for state in BackfillState if state in FINAL])
def test_a_final_study_is_never_claimed_again(state: BackfillState, rows: Rows) -> None:
    assert rows.past.settle_study(rows.claimed(), state, NOW, instances=3)
    row = rows.found()
    assert (row.state, row.instances, row.owner) == (state, 3, None)
    assert rows.past.claim_study(row, "me", NOW) is None


def test_what_was_taken_over_is_not_settled_by_the_one_who_lost_it(rows: Rows) -> None:
    mine = rows.claimed()
    yours = rows.past.claim_study(mine, "you", NOW)
    assert yours is not None
    assert yours.attempts == 2
    assert not rows.past.settle_study(mine, BackfillState.FETCHED, NOW)
    assert rows.past.settle_study(yours, BackfillState.FETCHED, NOW)
    assert not rows.past.settle_study(yours, BackfillState.FAILED, NOW)


def test_an_attempt_is_given_back_when_nothing_was_wrong_with_the_study(rows: Rows) -> None:
    assert rows.past.settle_study(rows.claimed(), BackfillState.FOUND, NOW)
    assert rows.found().attempts == 0
    assert rows.past.settle_study(rows.claimed(), BackfillState.FAILED, NOW, reason="it \0broke")
    failed = rows.found()
    assert (failed.state, failed.attempts, failed.reason) == (BackfillState.FAILED, 1, "it broke")
    assert rows.past.claim_study(failed, "me", NOW) is not None


def test_failed_studies_of_one_archive_get_all_their_attempts_again(rows: Rows) -> None:
    rows.past.settle_study(rows.claimed("1.2.1"), BackfillState.FAILED, NOW, reason="x")
    rows.past.settle_study(rows.claimed("1.2.2"), BackfillState.FETCHED, NOW)
    assert rows.past.retry_failed("other", NOW) == 0
    assert rows.past.retry_failed("pacs", NOW) == 1
    assert [row.attempts for row in rows.past.past_studies(state=BackfillState.FOUND)] == [0]


def test_other_modalities_find_a_final_study_again(rows: Rows) -> None:
    rows.past.settle_study(rows.claimed(), BackfillState.NOTHING, NOW)
    [row] = rows.past.note_found("pacs", ["1.2.1"], ["XC"], NOW)
    assert (row.state, row.modalities, row.attempts) == (BackfillState.FOUND, ("OP", "XC"), 0)
    claimed = rows.past.claim_study(row, "me", NOW)
    assert claimed is not None
    rows.past.settle_study(claimed, BackfillState.FETCHED, NOW)
    assert rows.found().state is BackfillState.FETCHED, "what is wanted is among what was fetched"


def test_what_somebody_fetches_is_left_to_him(rows: Rows) -> None:
    mine = rows.claimed()
    assert rows.past.note_found("pacs", ["1.2.1"], ["XC"], NOW) == [mine]


def test_lists_in_pages(rows: Rows) -> None:
    rows.past.note_found("pacs", ["1.2.1", "1.2.2", "1.2.3"], OP, NOW)
    rows.past.note_found("other", ["1.2.1"], OP, NOW)
    first = rows.past.past_studies(archive="pacs", limit=2)
    rest = rows.past.past_studies(archive="pacs", after=first[-1].id, limit=2)
    assert [row.study_instance_uid for row in (*first, *rest)] == ["1.2.1", "1.2.2", "1.2.3"]
    assert rows.past.past_studies(state=BackfillState.FAILED) == []


def test_knows_what_was_received_and_what_we_made(rows: Rows) -> None:
    assert rows.jobs.record_instance(image("1.1"))
    queued(rows.jobs, "1.2.9")
    finish(rows.jobs, claimed(rows.jobs), outputs=[output("2.2")])
    many = [f"9.{n}" for n in range(1100)]
    assert rows.past.known_instances([*many, "1.1", "2.2"]) == {"1.1", "2.2"}
    assert rows.past.known_instances([]) == set()


def test_what_lost_its_file_may_come_again(rows: Rows) -> None:
    for uid in ("1.1", "1.2"):
        assert rows.jobs.record_instance(image(uid))
    kept = [row for row in rows.jobs.kept_files(FileOwner.INSTANCES, 0, 10) if row.file_key == "key-of-1.1"]
    rows.jobs.mark_missing(FileOwner.INSTANCES, kept, NOW)
    assert rows.past.known_instances(["1.1", "1.2"]) == {"1.2"}


def test_counts_what_is_open_and_what_waits(rows: Rows) -> None:
    assert rows.past.unfinished_studies(10) == 0
    for n in range(4):
        rows.jobs.record_instance(image(f"1.{n}.1", f"1.{n}"))
    assert rows.past.unfinished_studies(10) == 4
    closed(rows.jobs, "1.0")
    assert rows.past.unfinished_studies(10) == 4
    assert rows.past.unfinished_studies(2) >= 2


def test_two_runs_that_find_the_same_studies_at_once_add_them_once(engine: Engine) -> None:
    uids = [f"1.2.{n}" for n in range(400)]
    start = threading.Barrier(4)

    def find(order: int) -> None:
        start.wait()
        SqlBackfill(engine).note_found("pacs", uids[::order], OP, NOW)

    threads = [threading.Thread(target=find, args=(order,)) for order in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert SqlBackfill(engine).past_study_counts() == {("pacs", BackfillState.FOUND): 400}


def test_each_study_of_many_is_found_without_reading_the_table(sqlite_engine: Engine) -> None:
    past = SqlBackfill(sqlite_engine)
    assert "SCAN" not in plan(sqlite_engine, lambda: past.look_up("pacs", ["1.2"]))
    assert "SCAN" not in plan(sqlite_engine, lambda: past.known_instances(["1.2"]))
    waiting = plan(sqlite_engine, lambda: past.unfinished_studies(10))
    assert "ix_jobs_claim" in waiting
    assert "ix_studies_open" in waiting
