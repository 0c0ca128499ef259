"""What is asked of a full queue costs what it costs of one that is as good as empty. Counted, never timed.

`python -m tests.bench queue` says what that comes to with a million jobs, in milliseconds too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.filling import FEW, Claiming, asked, fill, postgres_database, sqlite_database
from tests.conformance.jobs.work import counting

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Engine

FULL = (12_000, 4_000)
MOST = 1.5
SLACK = 20
"""A tree that is a level deeper, a page that was split, a job more that runs."""
pytestmark = pytest.mark.timeout(600)


def costs(engine: Engine) -> dict[str, int]:
    """What each step costs once caches are warm. The least of a few: PostgreSQL has work of its own now and then."""
    work = counting(engine)
    steps = Claiming(SqlJobs(engine)).calls() | asked(engine)
    found = [{name: work(call) for name, call in steps.items()} for _ in range(4)]
    return {name: min(one[name] for one in found) for name in steps}


def grown(few: Engine, full: Engine) -> dict[str, tuple[int, int]]:
    fill(few, *FEW)
    fill(full, *FULL)
    before, after = costs(few), costs(full)
    return {name: (before[name], after[name]) for name in before if after[name] > MOST * before[name] + SLACK}


def test_nothing_costs_more_on_a_full_sqlite() -> None:
    with sqlite_database() as few, sqlite_database() as full:
        assert not grown(few, full)


def through_indexes(connection: psycopg.Connection[tuple[object, ...]], _record: object) -> None:
    """A table of a few pages is gone through faster than looked into, which says nothing of a large one."""
    for way in ("seqscan", "hashjoin", "mergejoin"):
        connection.execute(f"SET enable_{way} = off")
    connection.commit()


@pytest.mark.peers
def test_nothing_costs_more_on_a_full_postgres() -> None:
    with postgres_database() as few, postgres_database() as full:
        for engine in (few, full):
            event.listen(engine, "connect", through_indexes)
            engine.dispose()
        assert not grown(few, full)
