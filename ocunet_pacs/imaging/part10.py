"""DICOM files up to their pixels: a tolerant reader that allocates no more than the file can fill (PS3.10 section 7).

Neither cv2 nor torch is loaded from here: the network listener reads headers with it.
"""

from __future__ import annotations

import io
import os
import warnings
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Reason, ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

MAX_INFLATED_BYTES = 1 << 29
"""A deflated data set that grows past this is refused: half a megabyte of deflated zeros is enough for that."""

_PREAMBLE = 128
_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
"""Float, Double Float and plain Pixel Data: a data set has one of them at most, after everything that describes it."""
_UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(slots=True)
class OpenedFile:
    """A data set read up to its Pixel Data.

    `stream` holds the encoded data set (inflated where it was deflated) and is open as long as `opened` is;
    `pixel_offset` is where the pixels' value starts in it, None where there are none; `pixel_length` is the declared
    length in bytes, None where it is undefined (encapsulated, PS3.5 section A.4).
    """

    dataset: Dataset
    meta: Dataset
    transfer_syntax_uid: str
    stream: _Stream
    pixel_offset: int | None = None
    pixel_length: int | None = None
    pixel_vr: str = ""

    @property
    def big_endian(self) -> bool:
        """Whether numbers in the data set have their most significant byte first."""
        return self.transfer_syntax_uid == ExplicitVRBigEndian


def refusal(code: ReasonCode, detail: str) -> BadInput:
    """The error to raise: BadInput with this reason."""
    return BadInput(Reason(code, detail))


@contextmanager
def opened(path: Path, tags: Sequence[int] | None = None) -> Iterator[OpenedFile]:
    """The file's data set without its pixels; only `tags` (and nothing else is even copied) where they are given.

    BadInput: NOT_DICOM without the prefix of a Part 10 file, UNREADABLE_DATASET where its structure is broken,
    TOO_LARGE for a deflate bomb. OSError where the file itself cannot be read.
    """
    with path.open("rb") as handle:
        stream = _Bounded(handle)
        stream.seek(_PREAMBLE)
        if stream.read(4) != b"DICM":
            raise refusal(ReasonCode.NOT_DICOM, "the file has no DICM prefix")
        yield _read(stream, tags)


@contextmanager
def refusing(code: ReasonCode, what: str) -> Iterator[None]:
    """Whatever a library raises on broken bytes becomes BadInput with this reason: the one deliberately broad door.

    pydicom, Pillow and the codecs raise OSError, SyntaxError, ValueError, TypeError, struct.error, KeyError,
    IndexError, AttributeError, RecursionError, RuntimeError and more on the same kinds of damage. Only the type is
    told, because a text can quote a value. Too little memory is the machine's fault, not the image's, and passes.
    """
    try:
        with quiet():
            yield
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 -- see above
        raise refusal(code, f"{what} ({type(error).__name__})") from None


@contextmanager
def quiet() -> Iterator[None]:
    """No warning gets out: pydicom's name values, and values can be the patient's. A deviation that matters raises.

    Filters belong to the whole process, so two threads that leave in the wrong order can leave warnings ignored;
    nothing that the product does depends on a warning.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(stream: _Stream, tags: Sequence[int] | None) -> OpenedFile:
    with refusing(ReasonCode.UNREADABLE_DATASET, "its file meta information is broken"):
        meta = read_dataset(
            cast("BinaryIO", stream), is_implicit_VR=False, is_little_endian=True, stop_when=_after_meta
        )
        syntax = str(meta.get("TransferSyntaxUID", None) or "")
    if not syntax:
        raise refusal(ReasonCode.UNREADABLE_DATASET, "its file meta information names no transfer syntax")
    if syntax == DeflatedExplicitVRLittleEndian:
        stream = _Inflated(stream)
    found = OpenedFile(meta, meta, syntax, stream)

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag in _PIXEL_TAGS:
            found.pixel_offset = stream.tell()
            found.pixel_length = None if length == _UNDEFINED_LENGTH else length
            found.pixel_vr = vr or ""
        # Whatever follows Pixel Data is padding or a signature; a tag above it without any pixels ends the search too.
        return int(tag) >= _PIXEL_TAGS[0]

    with refusing(ReasonCode.UNREADABLE_DATASET, "its data set is broken"):
        found.dataset = read_dataset(
            cast("BinaryIO", stream),
            is_implicit_VR=syntax == ImplicitVRLittleEndian,
            is_little_endian=not found.big_endian,
            stop_when=at_pixels,
            specific_tags=None if tags is None else list(tags),
        )
    if found.pixel_offset is None and (not found.dataset or _breaks_off(stream)):
        raise refusal(ReasonCode.UNREADABLE_DATASET, "its data set breaks off")
    return found


def _breaks_off(stream: _Stream) -> bool:
    """Whether the data set ends inside an element: a read came back short, or the reader jumped past the end."""
    return stream.ran_short or stream.tell() > stream.seek(0, os.SEEK_END)


def _after_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 2


class _Stream(io.RawIOBase):
    """Bytes that can be read and sought in; `ran_short` once some, but not all, of what was asked for was there."""

    ran_short = False

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class _Bounded(_Stream):
    """A file that never promises more bytes than it has.

    CPython's own files set aside as much memory as they are asked for, and the length of a broken element can ask
    for four gigabytes.
    """

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._size = os.fstat(handle.fileno()).st_size

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._handle.tell())
        self.ran_short |= 0 < left < size
        return self._handle.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        return self._handle.tell()


class _Inflated(_Stream):
    """The rest of a deflated file (PS3.5 section A.5), inflated only as far as it is read."""

    _CHUNK = 1 << 18

    def __init__(self, source: _Stream) -> None:
        self._source = source
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._done = bytearray()
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        end = MAX_INFLATED_BYTES + 1 if size < 0 else self._position + size
        self._inflate_to(end)
        content = bytes(self._done[self._position : end])
        self._position += len(content)
        self.ran_short |= 0 < len(content) < size
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            self._inflate_to(MAX_INFLATED_BYTES + 1)
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._done)}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def _inflate_to(self, end: int) -> None:
        while len(self._done) < end and not self._inflater.eof:
            compressed = self._inflater.unconsumed_tail or self._source.read(self._CHUNK)
            if not compressed:
                return
            try:
                self._done += self._inflater.decompress(compressed, self._CHUNK * 16)
            except zlib.error as error:
                raise refusal(ReasonCode.UNREADABLE_DATASET, "its deflated data set is corrupt") from error
            if len(self._done) > MAX_INFLATED_BYTES:
                raise refusal(ReasonCode.TOO_LARGE, f"its data set inflates past {MAX_INFLATED_BYTES:,} bytes")
