"""One process of the pool that fills a cache: files of every kind to pixels, one at a time, and it may die of one.

The pool's own worker (`ocunet_pacs.imaging.pool_worker`) also makes what a reader is shown, and takes DICOM only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs.domain.result import Photograph
from ocunet_pacs.imaging import messages
from ocunet_pacs.imaging.anyfile import is_photograph
from ocunet_pacs.imaging.decode import frames, read_photograph
from ocunet_pacs.imaging.pool_worker import work
from ocunet_pacs.imaging.preprocess import apply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.messages import Message, Orders
    from ocunet_pacs.imaging.pool_worker import Reply


def pictures(path: Path) -> Iterator[RgbImage]:
    """A photograph, or the frames of a DICOM file. BadInput, OSError."""
    if is_photograph(path):
        yield read_photograph(path)
    else:
        yield from frames(path)


def _answers(order: Message, orders: Orders) -> Iterator[Reply]:
    for rgb in pictures(Path(order["photographs"])):
        height, width = rgb.shape[:2]
        assert orders.spec is not None
        ready = apply(orders.spec, rgb, reuse=True)
        nothing = ready.pixels[:1, :1]  # nobody is shown it
        message, *arrays = messages.photograph_out(Photograph(ready.pixels, nothing, ready.crop, width, height))
        yield {"photograph": message, "last": False}, list(arrays)


def main() -> None:
    """Work for the pool that fills a cache."""
    work(_answers)


if __name__ == "__main__":
    main()
