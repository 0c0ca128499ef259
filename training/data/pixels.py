"""A manifest's row to the photograph's pixels, through the daemon's own decoders."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging.anyfile import is_photograph
from ocunet_pacs.imaging.decode import frames, read_photograph

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage


def read_pixels(path: Path, frame: int | None = None) -> RgbImage:
    """The photograph, or one frame (from 1) of a DICOM file, uint8 (height, width, 3).

    BadInput where it cannot be decoded or there is no such frame; OSError where the file cannot be read.
    """
    if is_photograph(path):
        return read_photograph(path)
    for rgb in islice(frames(path), (frame or 1) - 1, None):
        return rgb
    raise BadInput(Reason(ReasonCode.UNREADABLE_PIXELS, f"there is no frame {frame}"))
