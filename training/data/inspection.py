"""What a file is, whatever is said of it: its digest, its frames, its camera, and whether its pixels can be read.

Collections hold whatever somebody put there: pictures that are cut off, text files named `.jpg`, codecs' nightmares.
Each is read once, in processes of their own, and ends as facts or as a reason; none ends the reading of the others.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import signal
from collections import deque
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from pydicom.datadict import tag_for_keyword

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.anyfile import is_photograph
from ocunet_pacs.imaging.decode import frames, open_photograph, photograph_pixels
from ocunet_pacs.imaging.elements import text
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.part10 import opened
from training.data.processes import pool
from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.study import ImageHeader

_Given = TypeVar("_Given")

_FILES_A_TASK: Final = 16
_PATIENCE: Final = timedelta(minutes=2)
"""For one file. The largest photographs take a second; a file of many frames a second for each."""
_EXIF_MODEL: Final = 0x0110
_CAMERA_LENGTH: Final = 64
_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Inspected:
    """One file's facts. `frames` are those that can be had: (None,) for a file of one, numbers from 1 for several.

    `reason` says in a code and a sentence why there are no frames, or why there are no more of them; "" where all is
    well. `header` is a DICOM file's, where it has one that can be read.
    """

    digest: str = ""
    frames: tuple[int | None, ...] = ()
    reason: str = ""
    camera: str = ""
    header: ImageHeader | None = field(default=None, repr=False)

    def laterality(self, frame: int | None) -> str:
        """R, L or "" (unknown): what a DICOM header says of that frame."""
        side = "" if self.header is None else str(self.header.laterality_of(frame))
        return side if side in ("R", "L") else ""


def patient_group(identity: str, key: bytes) -> str:
    """A group's name for the patient whom `ImageHeader.patient_identity` stands for; equal for equal patients.

    The identity is a plain digest, which whoever has a list of names can compute; under a key that stays at the site
    it says nothing. Under the same key a harvest names the patient alike. ValueError for a key that can be guessed.
    """
    if len(key) < _KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes can be guessed; it needs {_KEY_BYTES}")
    return hmac.new(key, f"patient\n{identity}".encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:16]


def inspect_file(path: Path, *, decode: bool = True) -> Inspected:
    """The facts of a photograph or a DICOM file; never raises for what a file holds.

    Without `decode` the pixels are not tried: frames are those that the header promises.
    """
    try:
        if is_photograph(path):
            content = path.read_bytes()
            return replace(_surely(_photograph, content, decode), digest=hashlib.sha256(content).hexdigest())
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return replace(_surely(_dicom, path, decode), digest=digest)
    except OSError as error:
        return Inspected(reason=f"{ReasonCode.FILE_MISSING}: {error.strerror or 'it cannot be read'}")


def inspect_files(
    paths: Sequence[Path],
    *,
    workers: int,
    decode: bool = True,
    patience: timedelta = _PATIENCE,
    progress: Callable[[int], object] = lambda _done: None,
) -> list[Inspected]:
    """The facts of each file, in the order of `paths`, from `workers` processes (0: in this one).

    `progress` is called with how many more files are done. A file that kills its process, or keeps it longer than
    `patience`, is listed as such (decoder_failed) and costs a new process, nothing else. RunError where processes
    cannot be started.
    """
    found: list[Inspected] = [Inspected()] * len(paths)
    task = _Task(decode, patience.total_seconds())
    for places, facts in _elsewhere(paths, workers, task) if workers else _here(paths, task):
        for place, fact in zip(places, facts, strict=True):
            found[place] = fact
        progress(len(places))
    return found


@dataclass(frozen=True, slots=True)
class _Task:
    """What is done with a few files by whichever process takes them."""

    decode: bool
    patience_s: float

    def __call__(self, paths: Sequence[Path]) -> list[Inspected]:
        found = []
        for path in paths:
            signal.setitimer(signal.ITIMER_REAL, self.patience_s)  # nothing else ends a native decoder that loops
            found.append(inspect_file(path, decode=self.decode))
        signal.setitimer(signal.ITIMER_REAL, 0)
        return found


def _surely(facts_of: Callable[[_Given, bool], Inspected], given: _Given, decode: bool) -> Inspected:  # noqa: FBT001
    """The facts, or the reason why there are none."""
    try:
        return facts_of(given, decode)
    except BadInput as error:
        return Inspected(reason=str(error.reason))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 -- one picture must not end the reading of all, whatever its codec raises
        return Inspected(reason=f"{ReasonCode.DECODER_FAILED}: its decoder gave up ({type(error).__name__})")


def _photograph(content: bytes, decode: bool) -> Inspected:  # noqa: FBT001 -- for `_surely`
    if decode:
        photograph_pixels(content)
    return Inspected(frames=(None,), camera=_exif_model(content))


def _exif_model(content: bytes) -> str:
    """The camera that EXIF names; "" where it names none."""
    try:
        image = open_photograph(content)
        if image.format == "PNG" and "exif" not in image.info:
            return ""  # Pillow would decode the whole picture to look behind it
        return _words(str(image.getexif().get(_EXIF_MODEL, "")))
    except Exception:  # noqa: BLE001 -- EXIF is written by anything: what cannot be read names no camera
        return ""


def _words(name: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:_CAMERA_LENGTH]


def _dicom(path: Path, decode: bool) -> Inspected:  # noqa: FBT001 -- for `_surely`
    header = read_header(path)
    facts = Inspected(camera=_model_name(path) or _words(header.manufacturer), header=header)
    if not header.has_pixel_data:
        return replace(facts, reason=f"{ReasonCode.NO_PIXELS}: it has no Pixel Data")
    if not decode:
        return replace(facts, frames=_numbered(header.number_of_frames))
    decoded, reason = _decoded(path)
    numbers = _numbered(decoded) if decoded == header.number_of_frames else tuple(range(1, decoded + 1))
    return replace(facts, frames=numbers, reason=reason)


def _decoded(path: Path) -> tuple[int, str]:
    """How many frames come out before one does not, and why that one does not."""
    decoded = 0
    try:
        for _rgb in frames(path):
            decoded += 1
    except BadInput as error:
        return decoded, str(error.reason)
    return decoded, ""


def _model_name(path: Path) -> str:
    tag = tag_for_keyword("ManufacturerModelName")
    assert tag is not None
    with opened(path, [tag]) as file:
        return _words(text(file.dataset, "ManufacturerModelName"))


def _numbered(number: int) -> tuple[int | None, ...]:
    return (None,) if number == 1 else tuple(range(1, number + 1))


def _here(paths: Sequence[Path], task: _Task) -> Iterator[tuple[Sequence[int], list[Inspected]]]:
    for place, path in enumerate(paths):
        yield [place], [inspect_file(path, decode=task.decode)]


def _elsewhere(paths: Sequence[Path], workers: int, task: _Task) -> Iterator[tuple[Sequence[int], list[Inspected]]]:
    """A few files at a time. They are begun in order, so that after a death only the first can be to blame."""
    places = range(len(paths))
    waiting = [places[first : first + _FILES_A_TASK] for first in range(0, len(paths), _FILES_A_TASK)]
    while waiting:
        done: set[range] = set()
        with pool(min(workers, len(waiting))) as readers, suppress(BrokenProcessPool):
            try:
                begun = {readers.submit(task, [paths[place] for place in some]): some for some in waiting}
                for future in as_completed(begun):
                    yield begun[future], future.result()
                    done.add(begun[future])
            finally:
                readers.shutdown(wait=False, cancel_futures=True)
        waiting = [some for some in waiting if some not in done]
        if waiting and not done:
            _prove_that_processes_start()
        for some in waiting[:workers]:
            yield from _one_by_one(paths, some, task)
        waiting = waiting[workers:]


def _one_by_one(
    paths: Sequence[Path], places: Sequence[int], task: _Task
) -> Iterator[tuple[Sequence[int], list[Inspected]]]:
    """Files of which one may kill its process. It is blamed only in a fresh one, because damage can show late."""
    left = deque(places)
    while left:
        is_fresh = True
        with pool(1) as reader, suppress(BrokenProcessPool):
            while left:
                found = reader.submit(task, [paths[left[0]]]).result()
                yield [left.popleft()], found
                is_fresh = False
            return
        if is_fresh:
            reason = f"{ReasonCode.DECODER_FAILED}: it ended its decoder, or kept it for {task.patience_s:g} s"
            yield [left.popleft()], [Inspected(reason=reason)]


def _prove_that_processes_start() -> None:
    """RunError where no process starts at all: then no file is to blame."""
    try:
        with pool(1) as reader:
            reader.submit(os.getpid).result()
    except BrokenProcessPool:
        raise RunError(
            "no process starts that could read files: a script that asks for workers must do so under "
            '`if __name__ == "__main__":`; or read with 0 workers'
        ) from None
