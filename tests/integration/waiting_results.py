"""Results that wait for their delivery: real reports and heatmaps of many small studies, made without a model."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import Addressed, derive_uid
from tests.unit.report.made import image, reporter, stored, with_heatmaps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.jobs.sql import SqlJobs
    from ocunet_pacs.store.files import Files

URGENCIES = (Urgency.ROUTINE, Urgency.EMERGENCY, Urgency.NONE, Urgency.URGENT, Urgency.SOON)


def queue_results(
    jobs: SqlJobs,
    files: Files,
    folder: Path,
    studies: int,
    destinations: Sequence[str],
    now: datetime,
    attempts: int = 48,
) -> dict[str, Urgency]:
    """A report and a heatmap of each study, stored and queued; their SOP Instance UIDs with their studies' urgency."""
    from tests.conformance.jobs.builders import image as received

    uids: dict[str, Urgency] = {}
    for number in range(studies):
        study = derive_uid("waiting study", str(number))
        made = _results(folder / str(number), number, study)
        jobs.record_instance(received(derive_uid("waiting image", str(number)), study, now))
        (due,) = [one for one in jobs.studies_due(now, timedelta(days=1)) if one.study_instance_uid == study]
        jobs.close_study(due, now, 3)
        job = jobs.claim([JobKind.ANALYSE], "made by hand", now, timedelta(minutes=5))
        assert job is not None
        addressed = []
        for one in made:
            key = files.result_key(one.sop_instance_uid)
            files.put(key, one.content)
            row = stored(one)
            addressed.append(Addressed(type(row)(*(*_facts(row), key, one.form)), tuple(destinations)))
            uids[one.sop_instance_uid] = URGENCIES[number % len(URGENCIES)]
        jobs.finish_analysis(
            job,
            key=f"{number:064x}",
            result="{}",
            outputs=addressed,
            expected_predecessor=None,
            delivery_attempts=attempts,
            now=now,
            urgency=URGENCIES[number % len(URGENCIES)],
            bundle_digest="b" * 64,
        )
    return uids


def _facts(row):
    return row.kind, row.sop_class_uid, row.sop_instance_uid, row.series_instance_uid


def _results(folder: Path, number: int, study: str):
    """The objects of one study, in its own folder."""
    from dataclasses import replace

    folder.mkdir(parents=True)
    reports = reporter()
    one = replace(image(1, "R", DR=0.9), sop_instance_uid=derive_uid("waiting image", str(number)))
    result, sources, pictures, made = with_heatmaps(
        folder,
        reports,
        [one],
        StudyInstanceUID=study,
        SeriesInstanceUID=derive_uid("waiting series", str(number)),
        SOPInstanceUID=one.sop_instance_uid,
    )
    result = replace(result, study_instance_uid=study)
    return [*made, reports.report(result, sources, pictures)]
