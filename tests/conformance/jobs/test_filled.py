"""No statement of a day's work goes through a whole table of a database that has seen many studies."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.test_costs import FIRST, TABLES, clockwork
from tests.conformance.jobs.whole_study import a_look, an_outage, double, one_study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

DOUBLED = 9
"""Times that twelve studies are copied over: 18,000 jobs, and as many rows again of everything else."""
NEWEST_FIRST = {
    "the newest studies",
    "jobs",
    "console: studies",
    "console: answers",
}
"""They go back from the newest row until their page is full: nearly every row belongs on it."""


@contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, object]]]:
    """What is asked of the database within the block, each statement once, with its values."""
    found: dict[str, object] = {}

    def note(
        _connection: object, _cursor: object, statement: str, values: object, _context: object, many: bool
    ) -> None:
        if re.match("SELECT|UPDATE|INSERT|DELETE|WITH", statement):
            found.setdefault(statement, values[0] if many else values)  # type: ignore[index]

    noted: list[tuple[str, object]] = []
    event.listen(engine, "before_cursor_execute", note)
    yield noted
    event.remove(engine, "before_cursor_execute", note)
    noted += found.items()


def lists(engine: Engine) -> dict[str, Callable[[], object]]:
    """What a person is shown page by page, whatever state was asked for."""
    store = SqlJobs(engine)
    found: dict[str, Callable[[], object]] = {"jobs": lambda: store.find(limit=50)}
    for state in JobState:
        found[f"jobs that are {state}"] = lambda state=state: store.find(state=state, limit=50)  # type: ignore[misc]
        found[f"deliveries that are {state}"] = (
            lambda state=state: store.find(state=state, kind=JobKind.DELIVER, limit=50)  # type: ignore[misc]
        )
    return found


def a_day(engine: Engine) -> dict[str, Callable[[], object]]:
    """Everything that runs all day, and everything that people look at."""
    store = SqlJobs(engine)
    ways: dict[str, Callable[[], object]] = {
        "a study": lambda: one_study(store, FIRST),
        "a look": lambda: a_look(store, FIRST),
        "an outage": lambda: an_outage(store, 1),
        "what waits": lambda: store.backlog(store.clock()),
    }
    return clockwork(engine) | lists(engine) | ways


def filled(engine: Engine) -> None:
    store = SqlJobs(engine)
    for number in range(FIRST):
        one_study(store, number)
        a_look(store, number)
    double(engine, DOUBLED)


@pytest.mark.peers
def test_postgres_finds_by_an_index_what_a_day_asks_for(postgres_engine: Engine) -> None:
    filled(postgres_engine)
    with postgres_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ANALYZE {', '.join(TABLES)}"))
    through_all = {}
    for name, call in a_day(postgres_engine).items():
        with statements(postgres_engine) as asked:
            call()
        with postgres_engine.begin() as connection:
            for statement, values in asked:
                steps = connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars().all()  # type: ignore[arg-type]
                if found := re.search(f"Seq Scan on ({'|'.join(TABLES)})", "\n".join(steps)):
                    through_all[name, found[1]] = statement
    assert not through_all


@pytest.mark.parametrize("analysed", [False, True])
def test_sqlite_finds_by_an_index_what_a_day_asks_for(sqlite_engine: Engine, analysed: bool) -> None:
    """With statistics and without: the product makes none, a person may."""
    filled(sqlite_engine)
    if analysed:
        with sqlite_engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    through_all = {}
    for name, call in a_day(sqlite_engine).items():
        with statements(sqlite_engine) as asked:
            call()
        with sqlite_engine.begin() as connection:
            for statement, values in asked:
                if name in NEWEST_FIRST or re.search(r"FROM jobs ORDER BY jobs.id DESC\s+LIMIT", statement):
                    continue
                steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
                for step in steps:
                    if found := re.fullmatch(f"SCAN ({'|'.join(TABLES)})", step.detail):
                        through_all[name, found[1]] = statement
    assert not through_all
