"""Stand-ins for the stages around the pipeline: pictures are small arrays, reports are text."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.domain.errors import BadInput, InvalidReport
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import (
    Box,
    BundleRef,
    Classification,
    LabelScore,
    MadeObject,
    OutputKind,
    Photograph,
    derive_uid,
)
from ocunet_pacs.domain.study import ImageHeader, Laterality, Reason, ReasonCode, ReceivedInstance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ocunet_pacs.domain.result import ImageResult, Output, StudyResult
    from ocunet_pacs.domain.routes import Form

OP = "1.2.840.10008.5.1.4.1.1.77.1.5.1"


class Clock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


class Files:
    """A store in memory; a path is only a name."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def put(self, key: str, content: bytes) -> None:
        self.content[key] = content

    def remove(self, key: str) -> None:
        self.content.pop(key, None)

    def path(self, key: str) -> Path:
        return Path(key)

    def free_bytes(self) -> int:
        return 2**40


@dataclass
class Reader:
    """Every file is a photograph of the right eye, unless the test says otherwise by file name."""

    frames_of: dict[str, int] = field(default_factory=dict)
    broken: dict[str, ReasonCode] = field(default_factory=dict)
    broken_after: dict[str, int] = field(default_factory=dict)
    station: str = ""

    def header(self, path: Path) -> ImageHeader:
        if path.name in self.broken:
            raise BadInput(Reason(self.broken[path.name], "the test broke it"))
        return ImageHeader(
            study_instance_uid="1.2",
            series_instance_uid="1.2.3",
            sop_instance_uid=path.name,
            sop_class_uid=OP,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            laterality=Laterality.RIGHT,
            station_name=self.station,
            number_of_frames=self.frames_of.get(path.name, 1),
        )

    def photographs(self, path: Path) -> Iterator[Photograph]:
        for number in range(self.frames_of.get(path.name, 1)):
            if number >= self.broken_after.get(path.name, 10**9):
                raise BadInput(Reason(ReasonCode.UNREADABLE_PIXELS, "the test broke this frame"))
            blank = np.zeros((2, 2, 3), np.uint8)
            yield Photograph(blank, blank, Box(0, 0, 2, 2), 2, 2)


class Classifier:
    """Says the same about every picture, and remembers how many it was given at once."""

    def __init__(self, *, positive: bool = True, digest: str = "b" * 64) -> None:
        self.bundle = BundleRef("fake", digest, trained=True, temperature=1.0)
        self.positive = positive
        self.batches: list[int] = []

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        self.batches.append(len(photographs))
        score = LabelScore("DR", 2.0, 0.88, 0.5 if self.positive else 0.9, self.positive)
        maps = np.ones((1, 2, 2), np.float32)
        return [Classification((score,), maps) for _ in photographs]


class Reporter:
    """Objects whose content is a line of text; keeps the results that it was given."""

    settings_digest = "s" * 64

    def __init__(self) -> None:
        self.results: list[StudyResult] = []
        self.forms: list[str] = []
        self.encodings = ["uncompressed"]
        self.study_urgency = Urgency.NONE
        self.maker = ""
        """Who makes the objects, as their content says."""

    def heatmap_uid(self, image: ImageResult, bundle: BundleRef) -> str:
        return derive_uid("heatmap", image.sop_instance_uid, str(image.frame), bundle.digest)

    def pictures(
        self,
        image: ImageResult,
        photograph: Photograph,
        classification: Classification,
        bundle: BundleRef,
        source: Path,
    ) -> list[MadeObject]:
        uid, content = self.heatmap_uid(image, bundle), f"heatmap{self.maker}".encode()
        return [
            MadeObject(OutputKind.HEATMAP, "1.7", derive_uid(uid, encoding), "1.2.900", content, encoding)
            for encoding in self.encodings
        ]

    def urgency(self, result: StudyResult) -> Urgency:
        return self.study_urgency

    def report(
        self, result: StudyResult, sources: Mapping[str, Path], pictures: Mapping[str, Output], form: Form
    ) -> MadeObject:
        for image in result.images:
            if form.heatmap and image.heatmap_uid and derive_uid(image.heatmap_uid, form.heatmap) not in pictures:
                raise InvalidReport("heatmap handed over: an image names a heatmap that is not among the heatmaps")
        self.results.append(result)
        self.forms.append(form.id)
        uid, content = derive_uid("report", result.key, form.id), f"report{self.maker}".encode()
        return MadeObject(OutputKind.REPORT, "1.88", uid, "1.2.901", content, form.id)

    def pdf(self, report: MadeObject, pictures: Mapping[str, Path]) -> MadeObject:
        return MadeObject(OutputKind.PDF, "1.104", derive_uid("pdf", report.sop_instance_uid), "1.2.902", b"pdf")

    def fhir(self, result: StudyResult, report: MadeObject, destination: str) -> MadeObject:
        return MadeObject(OutputKind.FHIR, "", derive_uid("fhir", result.key, destination), "", b"{}")

    def notice(
        self, result: StudyResult, report: MadeObject, sources: Mapping[str, Path], destination: str
    ) -> MadeObject:
        return MadeObject(OutputKind.NOTICE, "", derive_uid("notice", result.key, destination), "", b"{}")


def received(number: int, clock: Clock, *, study: str = "1.2", opens_study: bool = True) -> ReceivedInstance:
    """An instance as the listener would have recorded it; its file and UID carry the number."""
    return ReceivedInstance(
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        sop_instance_uid=f"{study}.1.{number}",
        sop_class_uid=OP,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        file_key=f"{study}.1.{number}",
        size_bytes=1,
        sha256="0" * 64,
        source_ae_title="CAMERA",
        received_at=clock(),
        opens_study=opens_study,
    )
