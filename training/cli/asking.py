"""What `compare` and `promote` share: a bundle asked with a progress bar, remarks above the figures, a file of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from training.data.manifest import Manifest
    from training.evaluation.opinion import Opinion


def ask_with_bar(
    bundle: Path,
    manifest: Manifest,
    split: str,
    *,
    workers: int | None,
    device: str,
    operating_point: str = "default",
    allow_untrained: bool = False,
) -> Opinion:
    """Ask about the rows of a split; `workers` None is one a processor."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from training.evaluation.evaluate import rows_of
    from training.evaluation.opinion import ask
    from training.evaluation.predict import merge_copies

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(bundle.name, total=len(merge_copies(rows_of(manifest, split))))
        return ask(
            bundle,
            manifest,
            split,
            workers=(os.cpu_count() or 1) if workers is None else workers,
            device=device,
            operating_point=operating_point,
            allow_untrained=allow_untrained,
            progress=lambda more: bars.advance(task, more),
        )


def show_remarks(remarks: Iterable[str]) -> None:
    """To the error stream, so that what is printed stays what was asked for."""
    from rich.console import Console

    for remark in remarks:
        Console(stderr=True).print(remark, style="yellow", highlight=False)


def write_json(path: Path, content: bytes) -> None:
    """Put it there, in place of what was. ComparisonError where that cannot be."""
    from training.errors import ComparisonError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise ComparisonError(f"{path}: cannot be written: {error.strerror}") from None
