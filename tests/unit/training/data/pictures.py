"""Drawn eyes as files with a manifest, for whoever needs a few photographs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from training.data.manifest import Manifest, Row

if TYPE_CHECKING:
    from pathlib import Path

POSITIVES = (("DR",), ("NORMAL",), ("DR", "MYA"), ())


def drawn_manifest(folder: Path, count: int, size: tuple[int, int] = (150, 110)) -> Manifest:
    """`count` eyes in `folder`, labelled in turn by POSITIVES; what is not positive among them is negative."""
    rows = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.fromarray(draw_fundus(seed=number, laterality=Laterality.RIGHT, size=size)).save(path)
        positive = frozenset(POSITIVES[number % len(POSITIVES)])
        rows.append(
            Row(
                image=path.name,
                digest=hashlib.sha256(path.read_bytes()).hexdigest(),
                group=str(number),
                positive=positive,
                negative=frozenset({"DR", "NORMAL", "MYA"}) - positive,
                source="drawn",
            )
        )
    return Manifest(tuple(rows), folder)
