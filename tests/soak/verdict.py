"""What must be true when the faults are over and everything that was begun has ended."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread

from ocunet_pacs.app.process import EXIT_AGAIN
from tests.acceptance.pacs import Contents, photographs_of
from tests.daemon import cli
from tests.soak.archive import SR_CLASSES
from tests.soak.photographs import MARK
from tests.soak.site import MARK as SITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydicom.dataset import Dataset

    from tests.orthanc import Orthanc
    from tests.soak.faults import Happened
    from tests.soak.photographs import Photograph, Study
    from tests.soak.services import Ended
    from tests.soak.site import Site

IMAGE_LIBRARY_PICTURES = "1.2.840.10008.5.1.4.1.1.7"
EXAMPLES = 5
START_SECONDS = 20.0
"""A service that begins while something is lacking may say so this long after it is there again."""


@dataclass(frozen=True)
class Finding:
    """One thing that must hold: how many cases were looked at, and those of which it does not."""

    what: str
    looked_at: int
    wrong: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.wrong


@dataclass
class Evidence:
    """What was found in archives and database."""

    reports: list[Dataset]
    heatmaps: dict[str, str]
    """SOP Instance UID of each to the photograph's."""
    results: dict[str, list[dict[str, Any]]]
    """What the applied revisions of each study say of its images, oldest first, by Study Instance UID."""
    jobs: list[tuple[int, str, str, str]]
    """id, kind, state and reason of each that is not done."""
    addressed: dict[str, set[str]]
    """SOP Instance UIDs of the objects that are to be in each archive, by the destination's name."""
    committed: set[str]
    """SOP Instance UIDs that the committing archive keeps."""
    changed: set[str]
    """Those of them that came twice with different content."""

    def said_of(self, photograph: Photograph) -> list[dict[str, Any]]:
        """What each revision says of it, oldest first."""
        revisions = self.results.get(photograph.study_instance_uid, [])
        uid = photograph.sop_instance_uid
        return [images[uid] for images in revisions if uid in images]

    def reasons_of(self, photograph: Photograph) -> list[str]:
        """Codes of why the last revision did not assess it."""
        return [str(reason["code"]) for said in self.said_of(photograph)[-1:] for reason in said["reasons"]]


def gather(site: Site) -> Evidence:
    """Read all of it."""
    assert site.archive.peer is not None
    reports, heatmaps = _archived(site.archive.peer)
    results, jobs, addressed = _rows(site.database.url)
    busy = site.busy_archive
    return Evidence(reports, heatmaps, results, jobs, addressed, set(busy.kept), set(busy.changed))


def _archived(peer: Orthanc) -> tuple[list[Dataset], dict[str, str]]:
    reports: list[Dataset] = []
    heatmaps: dict[str, str] = {}
    for instance in peer.instances():
        sop_class = peer.client.get(f"/instances/{instance}/metadata/SopClassUid").text
        if sop_class.startswith(SR_CLASSES):
            reports.append(dcmread(BytesIO(peer.file(instance))))
        else:
            uid = peer.client.get(f"/instances/{instance}/content/0008-0018").text
            source = peer.client.get(f"/instances/{instance}/content/0008-2112/0/0008-1155").text
            heatmaps[uid.strip(" \0")] = source.strip(" \0")
    return reports, heatmaps


def _rows(url: str) -> tuple[dict[str, list[dict[str, Any]]], list[tuple[int, str, str, str]], dict[str, set[str]]]:
    import psycopg

    results: dict[str, list[dict[str, Any]]] = {}
    with psycopg.connect(url) as connection:
        for uid, result in connection.execute(
            "SELECT study_instance_uid, result FROM analyses JOIN studies ON studies.id = study_id"
            " WHERE result IS NOT NULL AND NOT superseded ORDER BY analyses.revision"
        ):
            results.setdefault(uid, []).append(
                {image["sop_instance_uid"]: image for image in json.loads(result)["images"]}
            )
        jobs = connection.execute(
            "SELECT id, kind, state, coalesce(reason, '') FROM jobs WHERE state <> 'done' ORDER BY id"
        ).fetchall()
        addressed: dict[str, set[str]] = {"pacs": set(), "committing": set()}
        for name, uid in connection.execute(
            "SELECT destination, sop_instance_uid FROM deliveries JOIN outputs ON outputs.id = output_id"
        ):
            addressed[name].add(uid)
    return results, jobs, addressed


def judge(studies: list[Study], evidence: Evidence) -> Iterator[Finding]:
    """What archives and database must say of what the cameras sent."""
    photographs = [one for study in studies for one in study.all]
    good = [one for one in photographs if not one.fault]
    taken = [one for one in photographs if one.acknowledged]
    yield Finding(
        "every good photograph was acknowledged in the end",
        len(good),
        [f"{one.sop_instance_uid}: {one.refused or 'not yet'}" for one in good if not one.acknowledged],
    )
    current = Contents(evidence.reports, []).current_reports()
    named = Counter(uid for report in current for uid in set(photographs_of(report)))
    yield Finding(
        "every acknowledged photograph is in a current report: none is lost",
        len(taken),
        [one.sop_instance_uid for one in taken if not named[one.sop_instance_uid]],
    )
    yield Finding(
        "no photograph is in two current reports: none is doubled",
        len(taken),
        [one.sop_instance_uid for one in taken if named[one.sop_instance_uid] > 1],
    )
    studies_of = Counter(str(report.StudyInstanceUID) for report in current)
    yield Finding(
        "a study has one current report",
        len(studies_of),
        [f"{uid}: {count}" for uid, count in studies_of.items() if count > 1],
    )
    yield _heatmaps(evidence, current)
    yield _good_ones(good, evidence)
    yield _bad_ones(photographs, evidence, current)
    held = {str(report.SOPInstanceUID) for report in evidence.reports} | set(evidence.heatmaps)
    differing = (held ^ evidence.addressed["pacs"]) | (evidence.committed ^ evidence.addressed["committing"])
    yield Finding(
        "archives hold what was addressed to them and nothing else, each object with one content",
        sum(len(uids) for uids in evidence.addressed.values()),
        [*differing, *evidence.changed],
    )
    yield Finding(
        "every job is done",
        len(evidence.jobs),
        [f"{kind} {number} is {state}: {reason}" for number, kind, state, reason in evidence.jobs],
    )


def _heatmaps(evidence: Evidence, current: list[Dataset]) -> Finding:
    named = {uid for report in evidence.reports for uid in heatmaps_of(report)}
    wrong = [f"{uid} is named by a report and not there" for uid in named - set(evidence.heatmaps)]
    wrong += [f"{uid} is there and named by no report" for uid in set(evidence.heatmaps) - named]
    for report in current:
        sources = Counter(evidence.heatmaps.get(uid, uid) for uid in heatmaps_of(report))
        wrong += [f"a report has {count} for {source}" for source, count in sources.items() if count > 1]
    return Finding("heatmaps are those that reports name, one a photograph", len(evidence.heatmaps), wrong)


def heatmaps_of(report: Dataset) -> set[str]:
    """SOP Instance UIDs of the heatmaps that it refers to."""
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.get("CurrentRequestedProcedureEvidenceSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
        if instance.ReferencedSOPClassUID == IMAGE_LIBRARY_PICTURES
    }


def _good_ones(good: Iterable[Photograph], evidence: Evidence) -> Finding:
    """Assessed by the last revision; by an earlier one where retention had removed the file before the last."""
    wrong, looked_at = [], 0
    for one in good:
        if not one.acknowledged:
            continue
        looked_at += 1
        said = evidence.said_of(one)
        reasons = [reason["code"] for reason in said[-1]["reasons"]] if said else ["no result"]
        if reasons == ["file_removed"]:
            reasons = [] if any(image["scores"] for image in said) else ["removed before it was assessed"]
        if reasons:
            wrong.append(f"{one.sop_instance_uid}: {', '.join(reasons)}")
    return Finding("every good photograph was assessed", looked_at, wrong)


def _bad_ones(photographs: list[Photograph], evidence: Evidence, current: list[Dataset]) -> Finding:
    """A status with a comment, or a coded reason in result and report."""
    texts: dict[str, str] = {}
    for report in current:
        words = (str(element.value) for element in report.iterall() if element.keyword == "TextValue")
        texts[str(report.StudyInstanceUID)] = texts.get(str(report.StudyInstanceUID), "") + "\n".join(words)
    wrong, looked_at = [], 0
    for one in photographs:
        if not one.fault:
            continue
        looked_at += 1
        if one.refused or not one.acknowledged:
            if len(one.refused.split()) < 2:
                wrong.append(f"{one.fault}: refused without a comment: {one.refused or 'never answered'}")
            continue
        last = evidence.reasons_of(one)
        if not last:
            wrong.append(f"{one.fault} {one.sop_instance_uid}: no reason")
        elif last[0] not in texts.get(one.study_instance_uid, ""):
            wrong.append(f"{one.fault} {one.sop_instance_uid}: {last[0]} is not in the report")
    return Finding("every bad object ended with a reason", looked_at, wrong)


def reasons_by_fault(photographs: Iterable[Photograph], evidence: Evidence) -> dict[str, Counter[str]]:
    """How each kind of bad object ended: statuses and codes."""
    found: dict[str, Counter[str]] = {}
    for one in photographs:
        if one.fault:
            ended = one.refused.split(" ")[0] or ", ".join(evidence.reasons_of(one)) or "nothing"
            found.setdefault(one.fault, Counter())[ended] += 1
    return found


def unexplained(ends: Iterable[Ended], faults: Iterable[Happened], began: float) -> list[str]:
    """What services did by themselves, without the one thing that they are to do: ask to be started again.

    That is what EXIT_AGAIN says where the database is away or the disk full when a service starts, also one that began
    to start while it was (`START_SECONDS`). Moments of `ends` are monotonic, `began` is the run's.
    """
    lacking = [
        (one.begin, math.inf if one.end is None else one.end + START_SECONDS)
        for one in faults
        if one.kind.startswith(("database", "disk"))
    ]

    def may_ask(moment: float) -> bool:
        return any(begin <= moment <= end for begin, end in lacking)

    return [end.what for end in ends if end.status != EXIT_AGAIN or not may_ask(end.at - began)]


def judge_site(site: Site, faults: Sequence[Happened], began: float) -> Iterator[Finding]:
    """Database, store, logs and processes, once the services run again after a night (see `let_a_night_pass`)."""
    integrity = cli("db", "integrity", "--config", site.config, check=False)
    problems = [] if integrity.returncode == 0 else (integrity.stdout + integrity.stderr).splitlines()
    yield Finding("`ocunet-pacs db integrity` finds nothing", 1, problems)
    yield _store(site)
    yield _logs(site)
    ended = unexplained((end for service in site.services for end in service.unplanned), faults, began)
    for said in _said(site):
        # The faults end a role of `serve` by SIGKILL alone.
        if said["event"] == "role_hung" or (said["event"] == "role_died" and said["code"] != -9):
            ended.append(f"{said['role_name']}: {said['event']} {said.get('code', '')}")
    yield Finding("no process ended or hung by itself", sum(service.starts for service in site.services), ended)


def let_a_night_pass(site: Site) -> None:
    """Housekeeping does by hour and by day what a run is too short for: let all files be old, and start again."""
    for service in site.services:
        service.stop()
    long_ago = time.time() - 2 * 86400
    for path in site.store.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                os.utime(path, (long_ago, long_ago))
    site.clock.move(86400 * 2)
    site.start()


def _store(site: Site) -> Finding:
    import psycopg

    with psycopg.connect(site.database.url) as connection:
        rows = connection.execute(
            "SELECT file_key, removed_at IS NULL, missing_at IS NULL FROM instances"
            " UNION ALL SELECT file_key, removed_at IS NULL, missing_at IS NULL FROM outputs"
        ).fetchall()
    kept = {key for key, is_kept, _ in rows if is_kept}
    wrong = [f"{key} is said to be missing" for key, _, is_there in rows if not is_there]
    wrong += [f"{key} has a row and no file" for key in kept if not (site.store / key).is_file()]
    for part in ("instances", "results"):
        files = {str(path.relative_to(site.store)) for path in (site.store / part).rglob("*") if path.is_file()}
        wrong += [f"{key} has a file and no row" for key in files - kept]
    wrong += [f"{path.name} is left in incoming" for path in (site.store / "incoming").iterdir()]
    return Finding("files and rows agree, and nothing half received is left", len(rows), wrong)


def _logs(site: Site) -> Finding:
    wrong, lines = [], 0
    for log in site.logs:
        for number, line in enumerate(log.read_text(errors="replace").splitlines(), 1):
            lines += 1
            if MARK.lower() in line.lower():
                wrong.append(f"{log.name}:{number} names a patient")
            # A process that is killed may be cut off in a line; a traceback that nobody caught begins one.
            if line.startswith(("Traceback", "Exception in thread")):
                wrong.append(f"{log.name}:{number} is a traceback that nobody caught")
    return Finding("no line of a log names a patient, or is of an error that nobody caught", lines, wrong)


def _said(site: Site) -> Iterator[dict[str, Any]]:
    """The lines of the logs."""
    for log in site.logs:
        for line in log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                yield json.loads(line)


def troubles(site: Site) -> Counter[str]:
    """Lines of the logs at warning and above, by event."""
    found: Counter[str] = Counter()
    for said in _said(site):
        if said.get("level") in {"warning", "error", "critical"}:
            code = f" code {said['code']}" if said["event"] == "role_died" else ""
            found[f"{said['event']}{code}"] += 1
    return found


def processes_left(site: Site) -> Finding:
    """None of what the daemon started outlives it."""
    mark = f"{SITE}={site.folder}\0".encode()
    left = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and mark in (folder / "environ").read_bytes():
                left.append((folder / "cmdline").read_text().replace("\0", " "))
    return Finding("no process is left", 1, left)
