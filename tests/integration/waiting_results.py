"""Results that wait for their delivery: a real report and heatmap, copied under UIDs of their own, without a model."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import Addressed, derive_uid
from tests.conformance.jobs.builders import image as received
from tests.unit.report.made import image, reporter, stored, with_heatmaps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.result import MadeObject
    from ocunet_pacs.jobs.sql import SqlJobs
    from ocunet_pacs.store.files import Files

URGENCIES = (Urgency.ROUTINE, Urgency.EMERGENCY, Urgency.NONE, Urgency.URGENT, Urgency.SOON)


def queue_results(
    jobs: SqlJobs, files: Files, folder: Path, studies: int, destinations: Sequence[str], now: datetime
) -> dict[str, Urgency]:
    """Two results of each study, stored and queued; their SOP Instance UIDs with their study's urgency."""
    folder.mkdir(parents=True)
    reports = reporter()
    result, sources, pictures, made = with_heatmaps(folder, reports, [image(1, "R", DR=0.9)])
    patterns = [*made, reports.report(result, sources, pictures)]
    urgency_of: dict[str, Urgency] = {}
    for number in range(studies):
        urgency = URGENCIES[number % len(URGENCIES)]
        study = derive_uid("waiting study", str(number))
        jobs.record_instance(received(derive_uid("waiting image", str(number)), study, now))
        (due,) = [one for one in jobs.studies_due(now, timedelta(days=1)) if one.study_instance_uid == study]
        jobs.close_study(due, now, 3)
        job = jobs.claim([JobKind.ANALYSE], "made by hand", now, timedelta(minutes=5))
        assert job is not None
        addressed = []
        for pattern in patterns:
            one = _copy(pattern, number)
            key = files.new_result_key(uuid.uuid4().hex)
            files.put(key, one.content)
            addressed.append(Addressed(replace(stored(one), file_key=key), tuple(destinations)))
            urgency_of[one.sop_instance_uid] = urgency
        jobs.finish_analysis(
            job,
            key=f"{number:064x}",
            result="{}",
            outputs=addressed,
            expected_predecessor=None,
            delivery_attempts=48,
            now=now,
            urgency=urgency,
            bundle_digest="b" * 64,
        )
    return urgency_of


def _copy(pattern: MadeObject, number: int) -> MadeObject:
    """The same object under another UID of the same length, so that nothing else of the file moves."""
    uid = f"{pattern.sop_instance_uid[:-6]}{number:06d}"
    content = pattern.content.replace(pattern.sop_instance_uid.encode(), uid.encode())
    return replace(pattern, sop_instance_uid=uid, content=content)
