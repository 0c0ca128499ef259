"""Photographs as the network's preprocessing leaves them, made once and kept: what is the same in every epoch.

A cache's folder holds a folder for each preprocessing, and there `cache.json`, which says what it is, and for each
photograph `AB/KEY.png`: KEY is the row's, AB its first two digits. A file is a PNG, which any viewer shows, and behind
its end four bytes: CRC-32, little endian, of the preprocessing's digest, the key and the PNG. So a file that is cut
off, damaged, renamed or of another preprocessing is noticed, and so is what a power failure spoils: nothing is fsynced.
"""

from __future__ import annotations

import errno
import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from ocunet_pacs.domain.errors import StoreFull
from training.data.filling import prepare_files
from training.data.whole import write_whole
from training.errors import CacheMiss, TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from training.data.filling import Progress
    from training.data.manifest import Manifest, Row, Unreadable

_REVISION: Final = 1
"""Part of the digest; counts up when a release prepares other pixels by the same specification."""
_AFTER_PIXELS: Final = frozenset({"mean", "std"})
"""What of a specification is applied to the pixels afterwards, and does not change them."""
_CHECKSUM_BYTES: Final = 4
_PNG_LEVEL: Final = 1
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PART: Final = ".part"
_ABANDONED_S: Final = 3600
"""Files are written within milliseconds: what is still unfinished after this was left behind by a killed process."""


class PixelCache:
    """Prepared pixels under `folder`, for one specification; any number of processes may fill and read it.

    The pixels are those of `ocunet_pacs.imaging.preprocess.apply`, bit for bit.
    """

    def __init__(self, folder: Path, spec: PreprocessSpec) -> None:
        self.spec = spec
        self._digest = pixel_digest(spec)
        self.folder = folder / f"{spec.image_size}-{self._digest[:16]}"

    def path(self, row: Row) -> Path:
        """Where the row's pixels lie, or would."""
        return self.folder / row.key[:2] / f"{row.key}.png"

    def absent(self, rows: Iterable[Row]) -> list[Row]:
        """The rows that have no file here, in order. What the files hold is not looked at: `load` and `fill` do."""
        return [row for row in rows if not self.path(row).exists()]

    def load(self, row: Row) -> RgbImage:
        """The row's pixels, uint8 (side, side, 3), an array of the caller's own.

        CacheMiss where they are not here. A damaged file is removed, which makes it a CacheMiss that the next fill
        mends. TrainingError where the file cannot be read.
        """
        content = self._content(row)
        if content is None:
            raise CacheMiss(f"photograph {row.key[:16]} is not in the cache {self.folder}: fill it with this manifest")
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def fill(
        self, manifest: Manifest, rows: Sequence[Row], *, workers: int, progress: Progress | None = None
    ) -> list[Unreadable]:
        """Prepare what is not here yet, each photograph once, in `workers` processes; what could not be, and why.

        Files that are here are read and checked. One of them is prepared again, to see that this release still makes
        the pixels that it holds: TrainingError where not. May be killed at any time, and run twice at once. StoreFull
        where the disk is full, TrainingError where the folder cannot be written.
        """
        self._describe()
        self._sweep()
        unique = {row.key: row for row in rows}
        wanted, witness = [], None
        for row in unique.values():
            if self._content(row) is None:
                wanted.append(row)
            elif witness is None and manifest.path(row).exists():
                witness = row
        if witness is not None:
            wanted.append(witness)
        return prepare_files(manifest, wanted, self.spec, self._keep, workers=workers, progress=progress)

    def _keep(self, row: Row, pixels: RgbImage) -> None:
        """Write the pixels, or compare them with those that are here."""
        if self._content(row) is None:
            done, png = cv2.imencode(
                ".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL]
            )
            assert done
            content = png.tobytes()
            self._write(self.path(row), content + self._checksum(row, content))
        elif not np.array_equal(self.load(row), pixels):
            raise TrainingError(
                f"{self.path(row)}: holds other pixels than this release prepares from the same photograph: "
                f"remove {self.folder}, and fill the cache again"
            )

    def _content(self, row: Row) -> bytes | None:
        """The row's PNG; None where there is none. One that is damaged is removed."""
        path = self.path(row)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrainingError(f"{path}: cannot be read: {error.strerror}") from None
        png, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
        if checksum == self._checksum(row, png):
            return png
        path.unlink(missing_ok=True)
        return None

    def _checksum(self, row: Row, png: bytes) -> bytes:
        start = zlib.crc32(f"{self._digest} {row.key}".encode())
        return zlib.crc32(png, start).to_bytes(_CHECKSUM_BYTES, "little")

    def _describe(self) -> None:
        """Say in the folder what it is."""
        description = {
            "what": "photographs prepared for a network (cropped, contrast evened out, resized), made by ocunet-train; "
            "may be removed at any time: it is made again from the photographs",
            "files": "AB/KEY.png: KEY is the photograph's sha256, and its frame where it has several; RGB; "
            "behind the PNG four bytes, CRC-32 of digest, space, KEY and the PNG",
            "digest": self._digest,
            "preprocess": self.spec.to_dict(),
        }
        self._write(self.folder / "cache.json", json.dumps(description, indent=2).encode() + b"\n")

    def _sweep(self) -> None:
        """Remove what killed fills left unfinished."""
        now = (self.folder / "cache.json").stat().st_mtime  # by the clock of the file system, which dates the others
        for part in self.folder.glob(f"??/.*{_PART}"):
            try:
                if now - part.stat().st_mtime > _ABANDONED_S:
                    part.unlink()
            except FileNotFoundError:  # another fill's, finished or swept
                continue

    def _write(self, path: Path, content: bytes) -> None:
        """The file as a whole or not at all."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, lambda file: file.write(content), suffix=_PART, durable=False)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StoreFull(
                    f"{self.folder}: there is no room for more prepared photographs "
                    f"(about {len(content) // 1000} KB each): make room, or choose another folder, and fill it again"
                ) from None
            raise TrainingError(f"{path}: cannot be written: {error.strerror}") from None


def pixel_digest(spec: PreprocessSpec) -> str:
    """sha256 (hex) of what decides the pixels; mean and deviation, which are applied later, are left out."""
    deciding = {name: value for name, value in spec.to_dict().items() if name not in _AFTER_PIXELS}
    text = json.dumps({"revision": _REVISION, **deciding}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
