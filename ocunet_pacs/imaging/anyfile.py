"""DICOM files and bare photographs behind one `PhotographReader`: what a person points at, a camera never sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import OphthalmicPhotography8BitImageStorage

from ocunet_pacs.domain.study import ImageHeader
from ocunet_pacs.imaging.decode import read_photograph
from ocunet_pacs.imaging.pixels import MIN_SIDE
from ocunet_pacs.imaging.prepare import PreparedFiles, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.domain.result import Photograph

PHOTOGRAPH_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})
_PREFIX_END = 132


def states_dicom(start: bytes) -> bool:
    """Whether a file that begins with these 132 bytes or more says that it is DICOM (PS3.10 section 7.1)."""
    return start[128:_PREFIX_END] == b"DICM"


def is_dicom(path: Path) -> bool:
    """Whether the file says that it is DICOM. OSError where it cannot be read."""
    with path.open("rb") as file:
        return states_dicom(file.read(_PREFIX_END))


def is_photograph(path: Path) -> bool:
    """Whether the file is a photograph by its name, and no DICOM by its content. OSError where it cannot be read."""
    return path.suffix.lower() in PHOTOGRAPH_SUFFIXES and not is_dicom(path)


def bare_header() -> ImageHeader:
    """The facts of a picture without a header: whoever points at it says that it is one of a fundus, as wrapping would.

    Its size and colours are then judged where they are decoded.
    """
    return ImageHeader(
        study_instance_uid="",
        series_instance_uid="",
        sop_instance_uid="",
        sop_class_uid=OphthalmicPhotography8BitImageStorage,
        transfer_syntax_uid="",
        anatomic_regions=("SCT:5665001",),
        samples_per_pixel=3,
        bits_allocated=8,
        rows=MIN_SIDE,
        columns=MIN_SIDE,
        photometric_interpretation="RGB",
        has_pixel_data=True,
    )


class AnyFile(PreparedFiles):
    """The port over DICOM files and bare photographs alike, in this process."""

    def header(self, path: Path) -> ImageHeader:
        """As for DICOM files; `bare_header` for a photograph."""
        return bare_header() if is_photograph(path) else super().header(path)

    def photographs(self, path: Path) -> Iterator[Photograph]:
        """As for DICOM files; a photograph is one frame."""
        if is_photograph(path):
            yield prepare(self._spec, read_photograph(path), self._limits, reuse=True)
        else:
            yield from super().photographs(path)
