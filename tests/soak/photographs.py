"""What the cameras send: drawn or real photographs as DICOM objects, and objects that must end with a reason."""

from __future__ import annotations

import copy
import io
import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.wrap import wrap_photograph
from tests.integration.objects import OP_8_BIT, data_set_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

MARK = "Xyzzymark"
"""In every patient's name and number, and nowhere else: it must not be in a log."""
DRAWN = 12
SIZE = (1200, 900)


@dataclass
class Photograph:
    """One object on its way. `fault` names what is wrong with it, "" where nothing is."""

    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax: str
    content: bytes
    fault: str = ""
    acknowledged: bool = False
    refused: str = ""
    """Status and Error Comment of a refusal for good."""
    sent: int = 0


@dataclass
class Study:
    """Of one patient. `late` comes after the rest was closed, `again`: all of it is sent twice."""

    photographs: list[Photograph]
    late: list[Photograph] = field(default_factory=list)
    again: bool = False

    @property
    def all(self) -> list[Photograph]:
        return [*self.photographs, *self.late]


class Sitting:
    """Makes studies, the same ones for a seed up to their UIDs. `bad`, `late` and `again` are chances."""

    def __init__(
        self, seed: int, templates: Sequence[Dataset], *, bad: float = 0.08, late: float = 0.12, again: float = 0.1
    ) -> None:
        self._dice = random.Random(seed)
        self._bad, self._late, self._again = bad, late, again
        self._templates = templates

    def study(self) -> Study:
        """One to four photographs, most of them good."""
        dice = self._dice
        study, patient = generate_uid(), uuid.uuid4().hex[:12]
        count = dice.choice((1, 2, 2, 2, 3, 4))
        photographs = [self._photograph(study, patient) for _ in range(count)]
        late = [self._photograph(study, patient)] if dice.random() < self._late else []
        return Study(photographs, late, dice.random() < self._again)

    def _photograph(self, study: str, patient: str) -> Photograph:
        template = self._dice.choice(self._templates)
        fault = self._dice.choice(sorted(FAULTS)) if self._dice.random() < self._bad else ""
        ds = copy.deepcopy(template)
        ds.StudyInstanceUID, ds.SOPInstanceUID = study, generate_uid()
        ds.PatientID, ds.PatientName = f"{MARK}-{patient}", f"{MARK}^{patient}"
        content = FAULTS[fault](ds) if fault else data_set_of(ds)
        return Photograph(ds.SOPInstanceUID, study, str(template.file_meta.TransferSyntaxUID), content, fault)


def templates(folder: Path | None) -> list[Dataset]:
    """Objects to make others of: of the photographs in a folder, or of drawn eyes."""
    return [_wrapped(jpeg) for jpeg in (_drawn() if folder is None else _found(folder))]


def _drawn() -> list[bytes]:
    found = []
    for seed in range(DRAWN):
        eye = draw_fundus(seed=seed, laterality=Laterality.LEFT if seed % 2 else Laterality.RIGHT, size=SIZE)
        found.append(_jpeg(eye))
    return found


def _found(folder: Path) -> list[bytes]:
    found = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix.lower() in {".jpg", ".jpeg"}]
    if not found:
        raise SystemExit(f"there are no .jpg files in {folder}")
    return found


def _jpeg(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=88)
    return stream.getvalue()


def _wrapped(jpeg: bytes) -> Dataset:
    ds = wrap_photograph(
        jpeg,
        laterality=Laterality.RIGHT,
        patient_id=MARK,
        patient_name=MARK,
        study_instance_uid=generate_uid(),
        series_instance_uid=generate_uid(),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        now=datetime.now(UTC),
    )
    if ds.file_meta.TransferSyntaxUID != JPEGBaseline8Bit or ds.SOPClassUID != OP_8_BIT:
        raise SystemExit("the cameras of the soak send baseline JPEG only")
    return ds


def _with_stream(ds: Dataset, stream: bytes) -> bytes:
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    return data_set_of(ds)


def _stream(ds: Dataset) -> bytes:
    """The JPEG stream of a template: behind an empty offset table and the item's head."""
    content = bytes(ds.PixelData)
    return content[content.index(b"\xff\xd8\xff") :]


def _no_jpeg(ds: Dataset) -> bytes:
    return _with_stream(ds, b"\xff\xd8\xff\xe0 this is no JPEG \xff\xd9")


def _cut_off_picture(ds: Dataset) -> bytes:
    return _with_stream(ds, _stream(ds)[:3000])


def _cut_off_object(ds: Dataset) -> bytes:
    content = data_set_of(ds)
    return content[: len(content) // 2]


def _huge_claim(ds: Dataset) -> bytes:
    stream = bytearray(_stream(ds))
    frame = stream.index(b"\xff\xc0")
    stream[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    ds.Rows = ds.Columns = 65500
    return _with_stream(ds, bytes(stream))


def _no_fundus(ds: Dataset) -> bytes:
    ramp = np.add.outer(np.arange(ds.Rows), np.arange(ds.Columns)) % 251
    return _with_stream(ds, _jpeg(np.repeat(ramp[:, :, None], 3, axis=2).astype(np.uint8)))


def _no_pixels(ds: Dataset) -> bytes:
    del ds.PixelData
    return data_set_of(ds)


def _no_data_set(ds: Dataset) -> bytes:
    return random.Random(len(ds.PixelData)).randbytes(5000)


FAULTS: dict[str, Callable[[Dataset], bytes]] = {
    "no JPEG": _no_jpeg,
    "picture cut off": _cut_off_picture,
    "object cut off": _cut_off_object,
    "claims 65500 x 65500": _huge_claim,
    "no fundus": _no_fundus,
    "no pixels": _no_pixels,
    "noise instead of a data set": _no_data_set,
}
"""What may be wrong with an object, and how it is made so."""
