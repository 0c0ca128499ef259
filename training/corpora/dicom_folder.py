"""Any folder of DICOM files, such as an export from a PACS, with labels by SOP Instance UID where somebody has them.

Groups are patients under a key; neither a name nor a number of theirs goes into the manifest. The files' own paths do:
an export that names its folders after patients is for the site alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.identity import identity_of
from training.corpora.columns import Columns, Said, unused_remark
from training.corpora.files import files_under
from training.corpora.listing import Entry, Findings, Listing, number_of, some
from training.corpora.reading import Reading, image_of
from training.corpora.tables import read_table, refuse
from training.data.inspection import patient_group
from training.data.manifest import Unreadable
from training.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.study import ImageHeader
    from training.data.manifest import Manifest

SOURCE: Final = "dicom"
_Labels = dict[str, dict[int | None, Findings]]
"""By object and frame; None stands for all of its frames."""


def read_dicom(
    folder: Path,
    reading: Reading | None = None,
    *,
    key: bytes,
    labels: Path | None = None,
    columns: Columns | None = None,
    source: str = SOURCE,
) -> Manifest:
    """A DICOM folder's rows; see `list_dicom`."""
    return (reading or Reading())(list_dicom(folder, key=key, labels=labels, columns=columns, source=source))


def list_dicom(
    folder: Path, *, key: bytes, labels: Path | None = None, columns: Columns | None = None, source: str = SOURCE
) -> Listing:
    """The photographs among the files in `folder`, a row a frame; `labels` is a csv file with one row an object.

    An object's row is that of all its frames, unless a column says which frame. Where there is such a file, objects
    without a row are left out; without one all labels are unknown. Files that are no photographs are counted in the
    remarks. CorpusError where the csv file cannot be read.
    """
    known, remarks = (None, []) if labels is None else _labels(labels, columns or Columns())
    found = _Found()
    for path in files_under(folder):
        found.add(path, folder)
    if not found.headers:
        raise CorpusError(f"{folder}: holds no DICOM file with pixels")
    entries = [entry for path, header in found.headers.items() for entry in _entries(path, header, known, key, source)]
    remarks += [*found.remarks(source), *_group_remarks(source, list(found.headers.values()))]
    if labels is None or known is None:
        remarks.append(f"{source}: no labels were given, so every label is unknown")
        return Listing(folder, tuple(entries), (), tuple(remarks), tuple(found.left_out))
    gaps = []
    if absent := sorted(known.keys() - found.uids):
        objects = number_of(len(absent), "object")
        gaps.append(
            f"{labels.name}: {objects} that are not there ({some(absent)}): export them too, or delete the rows"
        )
    if silent := sorted(found.uids - known.keys()):
        photographs = number_of(len(silent), "photograph")
        remarks.append(f"{source}: {photographs} without a row in {labels.name}, and so left out ({some(silent)})")
    return Listing(folder, tuple(entries), tuple(gaps), tuple(remarks), tuple(found.left_out))


@dataclass(slots=True)
class _Found:
    headers: dict[Path, ImageHeader] = field(default_factory=dict)
    left_out: list[Unreadable] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    uids: set[str] = field(default_factory=set)

    def add(self, path: Path, root: Path) -> None:
        """Put the file where it belongs."""
        try:
            header = read_header(path)
        except BadInput as error:
            if error.reason.code is ReasonCode.NOT_DICOM:
                self.others["no DICOM"] += 1
            else:
                self.left_out.append(Unreadable(image_of(path, root), str(error.reason)))
            return
        except OSError as error:
            self.left_out.append(Unreadable(image_of(path, root), f"{ReasonCode.FILE_MISSING}: {error.strerror}"))
            return
        if header.made_by_us:
            self.others["our own results"] += 1
        elif not header.has_pixel_data:
            self.others["objects without pixels"] += 1
        elif header.sop_instance_uid and header.sop_instance_uid in self.uids:
            self.others["further copies of an object"] += 1
        elif reason := _unfit(header):
            self.left_out.append(Unreadable(image_of(path, root), reason))
        else:
            self.uids.add(header.sop_instance_uid)
            self.headers[path] = header

    def remarks(self, source: str) -> Iterator[str]:
        """A line about the files that are no photographs."""
        if self.others:
            yield f"{source}: left out: " + ", ".join(
                f"{what} ({count:,})" for what, count in self.others.most_common()
            )


def _unfit(header: ImageHeader) -> str:
    """Why a photograph is none that the daemon would score, as far as its header says so beyond doubt."""
    if header.contrast_agents:
        return f"{ReasonCode.ANGIOGRAPHY}: a contrast agent is named"
    if header.is_calibration_or_qc:
        return f"{ReasonCode.CALIBRATION}: it says so"
    return ""


def _labels(path: Path, columns: Columns) -> tuple[_Labels, list[str]]:
    """What the csv file says of each object, or frame, and remarks. CorpusError with every problem."""
    table = read_table(path)
    chosen = columns.of(table)
    if not chosen.uid:
        raise CorpusError(f"{path}: no column holds SOP Instance UIDs: its columns are {', '.join(table.columns)}")
    said = Said(table, chosen)
    known: _Labels = {}
    for line, cells in table.rows:
        frame = cells.get(chosen.frame, "")
        findings = said.findings(line, cells)
        if frame and not (frame.isdecimal() and int(frame) > 0):
            said.problems.append(f"{path.name}: line {line}: column {chosen.frame}: {frame!r} is no number from 1")
            continue
        of_object = known.setdefault(cells.get(chosen.uid, ""), {})
        which = int(frame) if frame else None
        if which in of_object or (of_object and None in (which, *of_object)):
            said.problems.append(f"{path.name}: line {line}: a row above speaks of the same frames: keep one")
        of_object[which] = findings
    refuse([*said.problems, *said.gaps()])
    return known, unused_remark(path.name, said.unused)


def _entries(path: Path, header: ImageHeader, known: _Labels | None, key: bytes, source: str) -> Iterator[Entry]:
    group = patient_group(_patient(header), key)
    frames = {None: Findings()} if known is None else known.get(header.sop_instance_uid, {})
    for frame, findings in frames.items():
        yield Entry(path, source, group, findings, frame=frame)


def _patient(header: ImageHeader) -> str:
    """Whom the file names; a study stands for the patient where it names nobody."""
    return header.study_instance_uid if header.patient_identity == identity_of(Dataset()) else header.patient_identity


def _group_remarks(source: str, headers: Sequence[ImageHeader]) -> Iterator[str]:
    """Whether the patients can be told apart at all: de-identified exports often cannot tell them."""
    nobody = identity_of(Dataset())
    nameless = sum(header.patient_identity == nobody for header in headers)
    if nameless:
        yield f"{source}: {number_of(nameless, 'photograph')} without a patient: each study is a group of its own"
    named = [header for header in headers if header.patient_identity != nobody]
    if not named:
        return
    (_, most), *_ = Counter(header.patient_identity for header in named).most_common(1)
    studies = {header.study_instance_uid for header in named}
    if most > len(named) / 2 and len(studies) > 10:
        yield (
            f"{source}: one patient has {most:,} of {number_of(len(named), 'photograph')}: if the export gave "
            "everybody the same name, their eyes are one group, which no split can part"
        )
