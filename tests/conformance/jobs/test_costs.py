"""What a study costs does not depend on how many there were. Counted in work done, never in time."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from ocunet_pacs.domain.console import Among
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.domain.upkeep import FileOwner
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.jobs.sql_backfill import SqlBackfill
from ocunet_pacs.jobs.sql_console import SqlConsole
from tests.conformance.jobs.builders import BOTH, everybody_lives, image
from tests.conformance.jobs.whole_study import CANDIDATE, FORCE, START, a_look, an_outage, multiply, one_study
from tests.conformance.jobs.work import GRAIN, counting

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

FIRST, TIMES = 12, 100
TABLES = ("studies", "instances", "analyses", "outputs", "deliveries", "jobs", "shadows", "shadow_scores")


def clockwork(engine: Engine) -> dict[str, Callable[[], object]]:
    """What runs by the clock, or whenever somebody asks, beside the way of a study."""
    store = SqlJobs(engine)
    console = SqlConsole(engine)
    later, after_all = START + timedelta(days=1), START + timedelta(days=9)
    return {
        "close": lambda: store.studies_due(later, FORCE),
        "hasten": lambda: store.hasten_studies({"1.2.1", "1.2.999"}),
        "reap": lambda: store.reap(later, everybody_lives),
        "nothing to claim": lambda: store.claim(BOTH, "a worker", START - FORCE, FORCE),
        "nothing to remove": lambda: store.removable_studies(START, None, 10),
        "a page to remove": lambda: store.removable_studies(later, None, 10),
        "a page of rows": lambda: store.kept_files(FileOwner.RESULTS, 0, 10),
        "keys": lambda: store.file_states(FileOwner.INSTANCES, ["key-of-1.2.1.1.1", "a stranger"]),
        "counts of status": store.upkeep_counts,
        "the dead": lambda: store.find(state=JobState.DEAD, limit=5),
        "the dead of a kind": lambda: store.find(state=JobState.DEAD, kind=JobKind.DELIVER, limit=5),
        "a resend": lambda: store.record_instance(image("1.2.1.1.1", "1.2.1", later, patient=f"{1:064}")),
        "may it be tried": lambda: store.may_try("pacs", later, FORCE),
        "how destinations stand": store.destination_states,
        "nothing to commit": lambda: store.uncommitted("pacs", later, 100),
        "an answer to nothing": lambda: store.record_commitment(Commitment("T", frozenset({"2.25.11"})), later),
        "an asking that failed": lambda: store.note_not_asked("T"),
        "a past study": lambda: store.past_study(1),
        "the newest studies": lambda: store.studies_like(newest_first=True, limit=5),
        "a revision of what is being read": lambda: store.request_revision(99_999_999, later, 3, 0),
        "do patients wait": lambda: store.patients_wait(later),
        "is a look due": lambda: store.look_is_due(later),
        "nothing to look at": lambda: store.enlist(CANDIDATE, after_all, after_all, 2),
        "no looks to remove": lambda: store.remove_looks(START, 10),
        "a page of looks": lambda: store.past_looks(CANDIDATE, None, 0, 10),
        "console: studies": lambda: console.studies(limit=5),
        "console: studies that come in": lambda: console.studies(Among.RECEIVING),
        "console: studies that wait": lambda: console.studies(Among.WAITING),
        "console: studies being analysed": lambda: console.studies(Among.ANALYSING),
        "console: studies with dead jobs": lambda: console.studies(Among.ATTENTION),
        "console: a study": lambda: console.study(3),
        "console: today": lambda: console.finished_since(after_all),
        "console: answers": lambda: console.last_answers(20),
        "console: dead jobs": lambda: console.jobs(JobState.DEAD),
        "console: running jobs": lambda: console.jobs(JobState.RUNNING),
        "console: waiting jobs": lambda: console.jobs(JobState.WAITING),
        "console: a photograph": lambda: console.received_picture(3),
        "console: a heatmap": lambda: console.made_picture(1),
        "what waits": lambda: SqlBackfill(engine).unfinished_studies(100),
    }


def test_no_step_works_harder_when_the_tables_have_grown(sqlite_engine: Engine) -> None:
    work = counting(sqlite_engine)
    store = SqlJobs(sqlite_engine)

    for number in range(FIRST):
        one_study(store, number)
        a_look(store, number)
    calls = clockwork(sqlite_engine)
    early = {name: work(call) for name, call in calls.items()}
    early |= {"a study": work(lambda: one_study(store, FIRST)), "a look": work(lambda: a_look(store, FIRST))}
    early["an outage"] = work(lambda: an_outage(store, 1))
    multiply(sqlite_engine, TIMES)
    late = {name: work(call) for name, call in calls.items()}
    late["a study"] = work(lambda: one_study(store, FIRST + 1))
    late["a look"] = work(lambda: a_look(store, FIRST + 1))
    late["an outage"] = work(lambda: an_outage(store, 2))
    grown = {name: (early[name], late[name]) for name in early if late[name] > 1.2 * early[name] + 2 * GRAIN}
    assert not grown


@pytest.mark.peers
def test_no_step_reads_a_whole_table_of_postgres(postgres_engine: Engine) -> None:
    url = postgres_engine.url.render_as_string(hide_password=False)
    store = SqlJobs(postgres_engine)
    for number in range(FIRST):
        one_study(store, number)
        a_look(store, number)
    multiply(postgres_engine, TIMES)
    with postgres_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ANALYZE {', '.join(TABLES)}"))

    def read_in_sequence() -> dict[str, int]:
        names = ", ".join(f"'{name}'" for name in TABLES)
        query = f"SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname IN ({names})"
        with postgres_engine.connect() as connection:
            return {row.relname: row.seq_tup_read for row in connection.execute(text(query))}

    postgres_engine.dispose()
    time.sleep(1.5)  # sessions that end hand in their counts, but not at once
    before = read_in_sequence()
    engine = open_engine(url)
    for call in clockwork(engine).values():
        call()
    one_study(SqlJobs(engine), FIRST)
    a_look(SqlJobs(engine), FIRST)
    an_outage(SqlJobs(engine), 1)
    engine.dispose()
    time.sleep(1.5)
    after = read_in_sequence()
    assert {name: after[name] - before[name] for name in TABLES} == dict.fromkeys(TABLES, 0)
