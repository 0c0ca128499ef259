"""One study on its whole way through queue and ledger, and a database that has seen many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from ocunet_pacs.domain.job import Done, JobKind, Later
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import Commitment, LabelScore, OutputKind
from ocunet_pacs.domain.shadow import Candidate, ShadowFrame
from ocunet_pacs.jobs.schema import metadata
from tests.conformance.jobs.builders import LEASE, image, output, reported, to

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from ocunet_pacs.jobs.sql import SqlJobs

START = datetime(2026, 1, 1, tzinfo=UTC)
FORCE = timedelta(hours=1)
CANDIDATE = Candidate("c" * 64, "default", "retrained")

_NOT_OF_STUDIES = {"housekeeping", "backfill_studies", "destinations", "commitment_requests", "job_tallies"}
_STEP = 1_000_000
_SHIFTED = ("id", "study_id", "analysis_id", "output_id", "shadow_id", "subject_id")
_SUFFIXED = ("study_instance_uid", "sop_instance_uid", "file_key", "key")


def one_study(store: SqlJobs, number: int) -> None:
    """From the first of two images to the last of two deliveries, which its destination commits to."""
    now = START + timedelta(seconds=number)
    study = f"1.2.{number}"
    for ordinal in (1, 2):
        assert store.record_instance(image(f"{study}.1.{ordinal}", study, now, patient=f"{number:064}"))
    (due,) = store.studies_due(now, FORCE)
    assert store.close_study(due, now, 3)
    job = store.claim([JobKind.ANALYSE], "work", now, LEASE)
    assert job is not None
    row = store.analysis(job.subject_id)
    assert len(store.analysis_instances(row.id)) == 2
    assert store.predecessor(row.id) is None
    finish = store.finish_analysis(
        job,
        key=f"key of {number}",
        result="{}" * 500,
        outputs=to(["pacs"], output(f"2.25.1{number}", OutputKind.HEATMAP), output(f"2.25.2{number}")),
        expected_predecessor=None,
        delivery_attempts=12,
        now=now,
    )
    assert finish is Finish.APPLIED
    for which in range(2):
        deliver = store.claim([JobKind.DELIVER], "deliver", now, LEASE)
        assert deliver is not None
        going = store.delivery(deliver.subject_id)
        assert store.may_try(going.destination, now, LEASE) is None
        store.record_delivery(going.id, 0, "", now, stored=True)
        store.note_up(going.destination, now)
        assert [one.id for one in store.uncommitted(going.destination, now, 10)] == [going.id]
        store.note_asked(f"2.25.3{number}.{which}", [going.id], now)
        answer = Commitment(f"2.25.3{number}.{which}", frozenset({going.output.sop_instance_uid}))
        assert store.record_commitment(answer, now) == 1
        assert store.finish(deliver, Done(), now, 0.0)


def an_outage(store: SqlJobs, number: int) -> None:
    """Four results wait while their destination is down; one probes without luck, another with."""
    at = START + timedelta(days=1, minutes=number)
    wait = timedelta(seconds=20)
    reported(store, [f"2.25.4{number}.{which}" for which in range(4)], study=f"1.9.{number}", at=at)
    assert store.note_down("pacs", "nobody answers", at, wait)
    probe = store.claim([JobKind.DELIVER], "deliver", at + wait, LEASE)
    assert probe is not None
    assert store.may_try("pacs", at + wait, wait) is None
    assert not store.note_down("pacs", "nobody answers", at + wait, wait)
    assert store.finish(probe, Later("down", wait), at + wait, 0.0)
    assert store.may_try("pacs", at + 2 * wait, wait) is None
    assert store.note_up("pacs", at + 2 * wait) == 2 * wait
    for _ in range(4):
        deliver = store.claim([JobKind.DELIVER], "deliver", at + 2 * wait, LEASE)
        assert deliver is not None
        assert store.finish(deliver, Done(), at + 2 * wait, 0.0)


def a_look(store: SqlJobs, number: int) -> None:
    """A candidate looks at a study that was reported a moment ago."""
    now = START + timedelta(days=2, minutes=number)
    reported(store, [f"2.25.5{number}"], (), study=f"1.8.{number}", at=now)
    assert not store.patients_wait(now)
    assert store.unseen(CANDIDATE, now) == 1
    assert store.enlist(CANDIDATE, now, now, 2) is not None
    job = store.claim([JobKind.SHADOW], "shadow", now, LEASE)
    assert job is not None
    seen = [ShadowFrame(f"1.8.{number}.1.{n}", None, (LabelScore("DR", 0.0, 0.5, 0.5, positive=True),)) for n in (1, 2)]
    assert store.finish_look(job, seen, now)


def count_again(connection: Connection) -> None:
    """The tallies of jobs, after rows were copied before what they name."""
    connection.execute(text("DELETE FROM job_tallies"))
    connection.execute(
        text(
            "INSERT INTO job_tallies (kind, state, destination, number)"
            " SELECT jobs.kind, jobs.state, coalesce(deliveries.destination, ''), count(*) FROM jobs"
            " LEFT OUTER JOIN deliveries ON jobs.kind = 'deliver' AND deliveries.id = jobs.subject_id GROUP BY 1, 2, 3"
        )
    )


def multiply(engine: Engine, times: int) -> None:
    """Copy whatever is there `times` times over, under other ids and UIDs."""
    tables = [table for table in metadata.sorted_tables if table.name not in _NOT_OF_STUDIES]
    with engine.begin() as connection:
        for copy in range(1, times + 1):
            for table in tables:
                names = [column.name for column in table.columns]
                values = ", ".join(_of_copy(name, copy) for name in names)
                copied = f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM {table.name}"
                connection.execute(text(f"{copied} WHERE id < {_STEP}"))
        count_again(connection)


def double(engine: Engine, times: int) -> None:
    """As `multiply`, but what the copies are of grows as well: to 2 ** `times` of what is there, in few statements."""
    tables = [table for table in metadata.sorted_tables if table.name not in _NOT_OF_STUDIES]
    for power in range(times):
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # Rows that are copied whole name rows that are there.
                connection.execute(text("SET LOCAL session_replication_role = replica"))
            for table in tables:
                names = [column.name for column in table.columns]
                values = ", ".join(_of_copy(name, 2**power) for name in names)
                connection.execute(
                    text(f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM {table.name}")
                )
    with engine.begin() as connection:
        count_again(connection)


def _of_copy(name: str, copy: int) -> str:
    """What stands in a column of a copied row, as SQL."""
    if name in _SHIFTED:
        return f"{name} + {copy * _STEP}"
    return f"{name} || '.c{copy}'" if name in _SUFFIXED else name
