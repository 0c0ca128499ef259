"""A process of the filling pool that dies of pictures whose file is named so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from training.data import filling_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage

whole = filling_worker.pictures


def faulty(path: Path) -> Iterator[RgbImage]:
    if path.stem == "abort":
        os.abort()
    if path.stem == "quote":
        raise RuntimeError("Drawn^Eye")
    yield from whole(path)


if __name__ == "__main__":
    filling_worker.pictures = faulty
    filling_worker.main()
