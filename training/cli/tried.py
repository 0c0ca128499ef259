"""`ocunet-train tried`: a table of runs, to choose a recipe by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tried(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of `ocunet-train train`, or of `ocunet-train run`.")
    ],
    manifest: Annotated[Path, typer.Option("--manifest", metavar="CSV", help="The manifest they were trained with.")],
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="The pictures that they were trained with.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The table (csv); its lines of other runs are kept.")
    ] = Path("tried.csv"),
    device: Annotated[
        str, typer.Option("--device", help="auto (a GPU where there is one), cpu, cuda or cuda:N.")
    ] = "auto",
) -> None:
    """Write what was tried, a line a run: how its recipe differs, and what its best epoch so far is worth.

    All figures are on the validation split, so they choose and prove nothing; the test split is not looked at.
    Mirrored: with the logits of a picture and of its mirror image averaged, which serving does not do.
    """
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.table import Table

    from training.data.loading import worker_count
    from training.data.manifest import read_manifest
    from training.learning.distributed import joined
    from training.learning.progress import Silent
    from training.stages import Tools
    from training.tried import tried as look_at
    from training.tried import write_tried

    rows = read_manifest(manifest)
    with joined(device) as (world, place):
        tools = Tools(place, world, Silent(), lambda: datetime.now(UTC), worker_count("auto"))
        lines = write_tried(out, [look_at(run, rows, cache, tools) for run in runs])
    shown = ("run", "epochs", "seconds", "mean_average_precision", "mean_auroc", "mirrored", "calibration_error")
    table = Table(*(name.replace("_", " ") for name in shown), box=None, pad_edge=False)
    for line in sorted(lines, key=lambda line: line["mean_auroc"], reverse=True):
        table.add_row(*(line.get(name, "") for name in shown))
    Console().print(table)
    typer.echo(out)
