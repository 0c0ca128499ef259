"""Studies of drawn eyes put into a site, as far on their way as is asked for."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.drift import Camera, Finding, Night, Observation, Part
from ocunet_pacs.domain.job import Done, JobKind, Later, Never
from ocunet_pacs.domain.labels import LABELS, Urgency
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import Addressed, Commitment, Output, OutputKind, derive_uid
from ocunet_pacs.domain.study import Laterality, ReceivedInstance
from ocunet_pacs.imaging.drawn_lesions import Lesion
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.jobs.read_only import open_to_read
from ocunet_pacs.jobs.sql_console import SqlConsole
from ocunet_pacs.model.manifest import Manifest, Provenance
from ocunet_pacs.store.files import Files
from tests.viewers.example import LEFT, RIGHT, THRESHOLDS, DrawnEye, ExampleStudy, make_study

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.domain.job import Job
    from tests.console.site import Site

BITS = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
LEASE = timedelta(minutes=5)
HEALTHY = DrawnEye(Laterality.RIGHT, 21, (), {"NORMAL": 0.913})
DRY = DrawnEye(Laterality.RIGHT, 31, (Lesion.DRUSEN,), {"DN": 0.7719, "ARMD": 0.6123, "Disease_Risk": 0.8012})
CUPPED = DrawnEye(Laterality.LEFT, 33, (Lesion.CUPPING,), {"ODC": 0.8431, "Disease_Risk": 0.7022})


@dataclass
class Drawn:
    """Eyes that were drawn once and serve for any number of studies."""

    sick: ExampleStudy
    well: ExampleStudy
    suspect: ExampleStudy


def draw(folder: Path, size: tuple[int, int] = (1024, 768)) -> Drawn:
    return Drawn(
        make_study(folder / "sick", (RIGHT, LEFT), size=size),
        make_study(folder / "well", (HEALTHY, replace(LEFT, seed=22)), size=size),
        make_study(folder / "suspect", (DRY, CUPPED), size=size),
    )


def write_manifest(folder: Path) -> None:
    """A bundle without weights: what the console reads of it is there."""
    folder.mkdir(parents=True)
    manifest = Manifest(
        name="ocunet-v4-example",
        created_at=datetime(2026, 2, 14, 9, 30, tzinfo=UTC),
        architecture="efficientnet_b3",
        labels=tuple(label.name for label in LABELS),
        preprocess=PreprocessSpec(),
        temperature=1.1926,
        thresholds={label.name: THRESHOLDS.get(label.name, 0.5) for label in LABELS},
        operating_points={"screening": {label.name: 0.25 for label in LABELS}},
        calibrated=True,
        trained=True,
        provenance=Provenance(temperature_from="validation split", thresholds_from="validation split, F1"),
    )
    (folder / "manifest.json").write_bytes(manifest.sealed("0" * 64).to_bytes())


@dataclass
class Putter:
    """Puts studies into a site, one behind the other; `now` is when the last came."""

    site: Site
    drawn: Drawn
    now: datetime
    number: int = 0

    def receive(self, example: ExampleStudy, *, ago: timedelta, ae_title: str = "VISUCAM", source: str = "") -> str:
        """The photographs come; the Study Instance UID."""
        self.number += 1
        uid, at = derive_uid("console", str(self.number)), self.now - ago
        for ordinal, path in enumerate(example.photographs, 1):
            key = Files.new_instance_key(uuid.uuid4().hex)
            self.site.files.put(key, path.read_bytes())
            received = ReceivedInstance(
                study_instance_uid=uid,
                series_instance_uid=f"{uid}.1",
                sop_instance_uid=f"{uid}.1.{ordinal}",
                sop_class_uid=BITS,
                transfer_syntax_uid="1.2.840.10008.1.2.4.50",
                file_key=key,
                size_bytes=path.stat().st_size,
                sha256="0" * 64,
                source_ae_title=ae_title,
                received_at=at + timedelta(seconds=3 * ordinal),
                source=source,
                quiet_period=timedelta(seconds=10),
                patient_digest=f"{self.number:064x}",
            )
            assert self.site.jobs.record_instance(received)
        return uid

    def close(self, uid: str, *, ago: timedelta) -> None:
        at = self.now - ago
        (due,) = (s for s in self.site.jobs.studies_due(at, timedelta(days=1)) if s.study_instance_uid == uid)
        assert self.site.jobs.close_study(due, at, 3)

    def claim(self, kind: JobKind, *, ago: timedelta) -> Job:
        job = self.site.jobs.claim([kind], "clinic-1/work", self.now - ago, LEASE)
        assert job is not None
        return job

    def report(self, job: Job, example: ExampleStudy, *, ago: timedelta, to: tuple[str, ...], urgency: Urgency) -> None:
        """The analysis ends: results are stored and addressed."""
        uid = self.site.jobs.analysis(job.subject_id).study_instance_uid
        result = asdict(example.result)
        paths = iter(example.heatmaps)
        outputs = []
        for ordinal, image in enumerate(result["images"], 1):
            image["sop_instance_uid"] = f"{uid}.1.{ordinal}"
            if image["heatmap_uid"]:
                image["heatmap_uid"] = derive_uid("heatmap", uid, str(ordinal))
                outputs.append(self._output(OutputKind.HEATMAP, image["heatmap_uid"], next(paths)))
        outputs.append(self._output(OutputKind.REPORT, derive_uid("report", uid), example.report))
        total = len(result["images"])
        finish = self.site.jobs.finish_analysis(
            job,
            key=derive_uid("key", uid)[:64],
            result=json.dumps(result),
            outputs=[Addressed(output, to) for output in outputs],
            expected_predecessor=None,
            delivery_attempts=48,
            now=self.now - ago,
            note=f"{total} of {total} images assessed",
            urgency=urgency,
            bundle_digest=example.result.bundle.digest,
        )
        assert finish is Finish.APPLIED

    def _output(self, kind: OutputKind, uid: str, path: Path) -> Output:
        key = Files.new_result_key(uuid.uuid4().hex)
        self.site.files.put(key, path.read_bytes())
        classes = {OutputKind.HEATMAP: "1.2.840.10008.5.1.4.1.1.7", OutputKind.REPORT: "1.2.840.10008.5.1.4.1.1.88.34"}
        return Output(kind, classes[kind], uid, f"{uid}.1", key, "comprehensive-3d/uncompressed")

    def deliver(self, *, ago: timedelta, commits: bool = False, refuses: str = "") -> int:
        """Everything that is due goes out, or is refused for good; how many objects that were."""
        jobs, at, number = self.site.jobs, self.now - ago, 0
        while job := jobs.claim([JobKind.DELIVER], "clinic-1/deliver", at, LEASE):
            number += 1
            going = jobs.delivery(job.subject_id)
            if refuses:
                jobs.record_delivery(going.id, 0xA900, refuses, at)
                jobs.note_up(going.destination, at)
                jobs.finish(job, Never(f"{going.destination} refused it: 0xA900 {refuses}"), at, 0.0)
                continue
            jobs.record_delivery(going.id, 0, "", at, stored=True)
            jobs.note_up(going.destination, at)
            if commits:
                transaction = derive_uid("transaction", str(going.id))
                jobs.note_asked(transaction, [going.id], at)
                jobs.record_commitment(Commitment(transaction, frozenset({going.output.sop_instance_uid})), at)
            jobs.finish(job, Done(), at, 0.0)
        return number

    def whole(self, example: ExampleStudy, *, ago: timedelta, urgency: Urgency, **more: Any) -> None:
        """A study on its whole way, as on an ordinary day."""
        self.reported(example, ago=ago, urgency=urgency, **more)
        self.deliver(ago=ago - timedelta(seconds=27), commits=True)

    def reported(
        self, example: ExampleStudy, *, ago: timedelta, urgency: Urgency, to: tuple[str, ...] = ("pacs",), **more: Any
    ) -> None:
        uid = self.receive(example, ago=ago, **more)
        self.close(uid, ago=ago - timedelta(seconds=17))
        job = self.claim(JobKind.ANALYSE, ago=ago - timedelta(seconds=18))
        self.report(job, example, ago=ago - timedelta(seconds=24), to=to, urgency=urgency)

    def dead(self, example: ExampleStudy, reason: str, *, ago: timedelta, **more: Any) -> int:
        """Its analysis dies; the job's id."""
        uid = self.receive(example, ago=ago, **more)
        self.close(uid, ago=ago - timedelta(seconds=17))
        job = self.claim(JobKind.ANALYSE, ago=ago - timedelta(seconds=18))
        assert self.site.jobs.finish(job, Never(reason), self.now - ago + timedelta(seconds=20), 0.0)
        return job.id


REFUSAL = "Attribute Referenced Instance Sequence is not supported"
LIMIT = "the report could not be made: content item 113843 has no value (InvalidReport)"


def a_day(site: Site, drawn: Drawn, now: datetime) -> Putter:
    """An ordinary day with two faults: a PACS that refuses, and studies whose analysis died."""
    minutes = lambda n: timedelta(minutes=n)  # noqa: E731
    put = Putter(site, drawn, now)
    order = (drawn.well, drawn.sick, drawn.well, drawn.suspect, drawn.well)
    urgencies = (Urgency.NONE, Urgency.SOON, Urgency.NONE, Urgency.ROUTINE, Urgency.NONE)
    for number, (example, urgency) in enumerate(zip(order * 2, urgencies * 2, strict=True)):
        put.whole(example, ago=minutes(400 - 34 * number), urgency=urgency, source=f"camera-{1 + number % 2}")
    put.dead(drawn.well, LIMIT, ago=minutes(46), source="camera-1")
    put.dead(drawn.suspect, LIMIT, ago=minutes(44), source="camera-2")
    put.reported(drawn.sick, ago=minutes(31), urgency=Urgency.SOON, to=("viewer",), source="camera-1")
    put.deliver(ago=minutes(30), refuses=REFUSAL)
    put.reported(drawn.well, ago=minutes(12), urgency=Urgency.NONE, to=("pacs", "records"), source="camera-2")
    put.site.jobs.note_down("records", "nobody answers at 10.0.0.9 port 443", now - minutes(11), minutes(2))
    job = put.claim(JobKind.DELIVER, ago=minutes(11))
    put.site.jobs.finish(job, Later("nobody answers", minutes(20)), now - minutes(11), 0.0)
    running = put.receive(drawn.sick, ago=minutes(1), source="camera-1")
    put.close(running, ago=timedelta(seconds=40))
    put.claim(JobKind.ANALYSE, ago=timedelta(seconds=30))
    waiting = put.receive(drawn.suspect, ago=timedelta(seconds=50), source="camera-2")
    put.close(waiting, ago=timedelta(seconds=20))
    put.receive(drawn.well, ago=timedelta(seconds=9), source="camera-1")
    a_month_of_nights(site, now)
    return put


CAMERAS = (Camera("1f" * 8, "Acme Retina 7, serial 1021"), Camera("2e" * 8, "Acme Retina 7, serial 1022"))
MEASURES = ("pattern", "structure", "detail", "contrast", "brightness", "redness", "evenness", "field", "refused")


def a_month_of_nights(site: Site, now: datetime) -> None:
    """Two cameras; the lens of the second has been dirty for five nights."""
    jobs, chance = site.jobs, random.Random(7)
    (line,) = SqlConsole(open_to_read(site.settings.database.url)).studies(limit=1).lines
    for number, camera in enumerate(CAMERAS):
        seen = Observation(line.pictures[number].id, None, camera, {"red": 120.0}, {}, "", bytes(1024))
        jobs.note_observations([seen], "3c" * 32, now)
    cameras = jobs.cameras()
    for ago in range(30, 0, -1):
        found = []
        for number, camera in enumerate(cameras):
            dirty = number == 1 and ago <= 5
            standing = Finding(camera.id, Part.CAMERA, "standing", 0.0, 0.0, False, 64, 31)
            found.append(standing)
            for measure in MEASURES:
                value, limit = chance.uniform(0.03, 0.16), 0.25
                if measure == "pattern":
                    value, limit = value * 20, 5.2
                if dirty and measure in MEASURES[:3]:
                    value = limit * (1.1 + (6 - ago) / 8)
                alert = value > limit
                words = "a place right of the middle is darker" if measure == "pattern" else "lower"
                image = Finding(camera.id, Part.IMAGE, measure, value, limit, alert, 64, 31, words if alert else "")
                found.append(image)
            for label in ("DR", "ARMD", "every label"):
                value = chance.uniform(0.02, 0.12)
                found.append(Finding(camera.id, Part.SCORES, label, value, 0.25, False, 64, 31))
        at = now - timedelta(days=ago - 1)
        jobs.keep_night(Night(at.date(), at, tuple(found)))
