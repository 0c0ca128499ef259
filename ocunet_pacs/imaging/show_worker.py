"""The process behind `Showing`: a file's first frame scaled down, or words of its header; it may die of either.

It takes a pool's orders: `photographs` asks for the picture, `header` for the words.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ocunet_pacs.imaging.decode import frames
from ocunet_pacs.imaging.elements import text
from ocunet_pacs.imaging.part10 import opened, quiet
from ocunet_pacs.imaging.pool_worker import work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.messages import Message, Orders
    from ocunet_pacs.imaging.pool_worker import Reply

LONGEST_SIDE = 1600
"""Our heatmaps are as wide, and what is written on them is to be read."""
_LONGEST_WORDS = 128
_WORDS = {
    "name": "PatientName",
    "number": "PatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "description": "StudyDescription",
    "station": "StationName",
    "device": "ManufacturerModelName",
}


def _answers(order: Message, _orders: Orders) -> Iterator[Reply]:
    if "header" in order:
        yield {"words": _words(Path(order["header"]))}, []
    else:
        yield {}, [_scaled_down(next(frames(Path(order["photographs"]))))]


def _words(path: Path) -> dict[str, str]:
    with opened(path) as file, quiet():
        return {name: text(file.dataset, keyword)[:_LONGEST_WORDS] for name, keyword in _WORDS.items()}


def _scaled_down(rgb: RgbImage) -> RgbImage:
    height, width = rgb.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    work(_answers)
