"""The daemon's store and the doctors' verdicts to a corpus of its own: de-identified photographs and their manifest.

The store's files alone are read, while the daemon works or not; no database is asked and nothing in the store is
changed.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.header import read_header
from training.data.manifest import Manifest, Row, Unreadable, write_manifest
from training.data.whole import write_whole
from training.errors import CorpusError
from training.harvest.deidentify import KEY_BYTES, Pseudonyms, content_digest, deidentified, encoded
from training.harvest.verdicts import by_subject, of_photograph, weigh
from training.harvest.verified import read_documents, verified_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ocunet_pacs.domain.study import ImageHeader
    from training.harvest.verdicts import Verdict, Weighed

MANIFEST_NAME: Final = "manifest.csv"
_KEY_NAME: Final = "patient.key"
_READERS: Final = 4


@dataclass(slots=True)
class Harvest:
    """What came of it. `contradicted` counts photographs by label; `unmatched` are origins of verdicts without one."""

    manifest: Manifest
    photographs: int = 0
    answers: int = 0
    contradicted: Counter[str] = field(default_factory=Counter)
    unmatched: list[str] = field(default_factory=list)
    without_verdict: int = 0
    unreadable_documents: int = 0


def harvest(
    store: Path,
    verdicts: Sequence[Verdict],
    verified: Sequence[Path],
    out: Path,
    *,
    key: Path | None,
    progress: Callable[[int, int], None] | None = None,
) -> Harvest:
    """Write the photographs that somebody judged, and `manifest.csv`, under `out`.

    `verified` are folders with structured reports (the store's own results are looked at anyway). `key` None is the
    store's own. `progress` gets photographs done and in all. CorpusError where there is nothing to harvest from.
    """
    instances = _index(store)
    documents, broken = read_documents(_dicom_files([store / "results", store / "instances", *verified]))
    said, answers = verified_answers(documents)
    subjects = by_subject([*verdicts, *said])
    pseudonyms = Pseudonyms(_read_key(key, store))
    (out / "images").mkdir(parents=True, exist_ok=True)
    found = Harvest(Manifest((), out), photographs=len(instances), answers=answers, unreadable_documents=len(broken))
    rows, unreadable, used = [], [], set[str]()
    eyes = _photographs_of_eyes(header for _, header in instances.values())
    for number, (path, header) in enumerate(instances.values(), 1):
        judged = _judged(header, eyes, subjects)
        used.update(verdict.origin for verdicts_of in judged.values() for verdict in verdicts_of)
        weighed = {frame: weigh(of_frame) for frame, of_frame in judged.items() if of_frame}
        found.without_verdict += not weighed
        for of_frame in weighed.values():
            found.contradicted.update(of_frame.contradicted)
        try:
            rows += _rows(path, header, weighed, pseudonyms, out)
        except BadInput as error:
            name = f"images/{pseudonyms.uid(header.sop_instance_uid)}.dcm"
            unreadable.append(Unreadable(name, str(error.reason)))
        if progress is not None:
            progress(number, len(instances))
    found.unmatched = sorted({verdict.origin for verdict in [*verdicts, *said]} - used)
    found.manifest = Manifest(tuple(sorted(rows, key=lambda row: row.image)), out, tuple(unreadable))
    write_manifest(found.manifest, out / MANIFEST_NAME)
    return found


def _index(store: Path) -> dict[str, tuple[Path, ImageHeader]]:
    """The photographs among the received files, by SOP Instance UID in its order."""
    folder = store / "instances"
    if not folder.is_dir():
        raise CorpusError(f"{store}: is no store of the daemon: it has no folder `instances` (see store.path)")
    with ThreadPoolExecutor(_READERS) as readers:
        headers = readers.map(_header, files := list(_dicom_files([folder])))
        found = {
            header.sop_instance_uid: (path, header)
            for path, header in zip(files, headers, strict=True)
            if header is not None and header.has_pixel_data and not header.made_by_us
        }
    return dict(sorted(found.items()))


def _header(path: Path) -> ImageHeader | None:
    try:
        return read_header(path)
    except (BadInput, OSError):
        return None  # the daemon's consistency check reports files that it cannot read


def _dicom_files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        for place, inside, names in os.walk(folder):
            inside.sort()
            yield from (
                Path(place, name) for name in sorted(names) if name.endswith((".dcm", ".dicom")) or "." not in name
            )


def _photographs_of_eyes(headers: Iterator[ImageHeader] | Sequence[ImageHeader]) -> Counter[tuple[str, str]]:
    eyes = Counter[tuple[str, str]]()
    for header in headers:
        for frame in _frames(header):
            eyes[header.study_instance_uid, header.laterality_of(frame).value] += 1
    return eyes


def _frames(header: ImageHeader) -> list[int | None]:
    return [None] if header.number_of_frames <= 1 else list(range(1, header.number_of_frames + 1))


def _judged(
    header: ImageHeader, eyes: Counter[tuple[str, str]], subjects: Mapping[object, list[Verdict]]
) -> dict[int | None, list[Verdict]]:
    """The verdicts on each frame."""
    judged = {}
    for frame in _frames(header):
        side = header.laterality_of(frame)
        eye = (header.study_instance_uid, "" if side is Laterality.UNKNOWN else side.value)
        judged[frame] = of_photograph((header.sop_instance_uid, frame), eye, eyes[eye], subjects)
    return judged


def _rows(
    path: Path,
    header: ImageHeader,
    weighed: Mapping[int | None, Weighed],
    pseudonyms: Pseudonyms,
    out: Path,
) -> list[Row]:
    if not any(known.positive | known.negative for known in weighed.values()):
        return []
    rows = []
    for photograph in deidentified(path, header, pseudonyms):
        known = weighed.get(photograph.frame)
        if known is None or not known.positive | known.negative:
            continue
        content = encoded(photograph.dataset)
        image = f"images/{photograph.dataset.SOPInstanceUID}.dcm"
        _put(out / image, content)
        rows.append(
            Row(
                image=image,
                digest=content_digest(content),
                group=photograph.patient,
                positive=known.positive,
                negative=known.negative,
                source="harvest",
                camera=photograph.camera,
                laterality=photograph.laterality,
            )
        )
    return rows


def _put(path: Path, content: bytes) -> None:
    """A file that is there already holds the same photograph and is replaced."""
    write_whole(path, lambda file: file.write(content), mode=0o600, durable=False)


def _read_key(key: Path | None, store: Path) -> bytes:
    path = key or store / _KEY_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if key is None:
            raise CorpusError(
                f"{path}: the store has no key yet; name a file with --key, and it is made there. Keep it secret and "
                "outside the corpus: it keeps pseudonyms the same from harvest to harvest"
            ) from None
        content = secrets.token_bytes(KEY_BYTES)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) != KEY_BYTES:
        raise CorpusError(f"{path}: is no key: {KEY_BYTES} bytes are expected")
    return content
