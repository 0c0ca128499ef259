"""Small studies, jobs and outputs with fixed times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import Addressed, Output, OutputKind
from ocunet_pacs.domain.study import ReceivedInstance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.jobs.memory import MemoryJobs
    from ocunet_pacs.jobs.sql import SqlJobs

    Store = MemoryJobs | SqlJobs

NOW = datetime(2024, 5, 1, 8, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE = timedelta(minutes=5)
QUIET = timedelta(minutes=1)
DAY = timedelta(days=1)
BOTH = tuple(JobKind)


def image(
    uid: str,
    study: str = "1.2.1",
    at: datetime = NOW,
    *,
    opens_study: bool = True,
    quiet: timedelta = timedelta(0),
    patient: str = "",
) -> ReceivedInstance:
    return ReceivedInstance(
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.5.1",
        transfer_syntax_uid="1.2.840.10008.1.2.4.50",
        file_key=f"key-of-{uid}",
        size_bytes=5_000_000_000,
        sha256="0" * 64,
        source_ae_title="CAMERA",
        received_at=at,
        opens_study=opens_study,
        quiet_period=quiet,
        patient_digest=patient,
    )


def closed(store: Store, study: str, at: datetime = NOW, max_attempts: int = 3) -> int:
    """Close the open study as it is; its job's id."""
    [seen] = [due for due in store.studies_due(at, DAY) if due.study_instance_uid == study]
    job_id = store.close_study(seen, at, max_attempts)
    assert job_id is not None
    return job_id


def queued(store: Store, study: str = "1.2.1", at: datetime = NOW, max_attempts: int = 3) -> int:
    """One study with one image, closed: a waiting analysis job's id."""
    assert store.record_instance(image(f"{study}.1.1", study, at))
    return closed(store, study, at, max_attempts)


def claimed(store: Store, owner: str = "a worker", at: datetime = NOW) -> Job:
    job = store.claim(BOTH, owner, at, LEASE)
    assert job is not None
    return job


def output(uid: str, kind: OutputKind = OutputKind.REPORT) -> Output:
    return Output(kind, "1.2.840.10008.5.1.4.1.1.88.33", uid, "2.25.1", f"key-of-{uid}")


def to(destinations: Sequence[str], *outputs: Output) -> list[Addressed]:
    """Every output to every destination."""
    return [Addressed(one, tuple(destinations)) for one in outputs]


def reported(
    store: Store,
    uids: Sequence[str],
    destinations: Sequence[str] = ("pacs",),
    *,
    study: str = "1.2.1",
    at: datetime = NOW,
    urgency: Urgency | None = None,
    bundle_digest: str = "",
) -> list[int]:
    """A study of one image, with reports of these UIDs that wait for delivery: the deliveries' job ids, in order."""
    queued(store, study, at)
    job = store.claim([JobKind.ANALYSE], "work", at, LEASE)
    assert job is not None
    how = store.finish_analysis(
        job,
        key=f"key of {study}",
        result="{}",
        outputs=to(destinations, *map(output, uids)),
        expected_predecessor=None,
        delivery_attempts=5,
        now=at,
        urgency=urgency,
        bundle_digest=bundle_digest,
    )
    assert how is Finish.APPLIED
    return [job.id for job in store.find(limit=len(uids) * len(destinations))][::-1]


def everybody_lives(owner: str) -> bool:
    return False
