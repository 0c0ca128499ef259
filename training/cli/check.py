"""`ocunet-train check`: whether anything is on two sides of a manifest's split, and what each side knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="The csv with the photographs.")],
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read; one a processor without it.")
    ] = None,
) -> None:
    """Compare all photographs, and refuse a split that has an eye, a patient or a copy of a photograph on two sides.

    Exit status 0 where there is none, 1 with the list where there is. Lines are the manifest's. What was made of the
    photographs is kept beside the manifest, so that the next check reads only new ones.
    """
    from training.cli.split_tables import compared, show_duplicates, show_splits
    from training.data.duplicates import contradictions
    from training.data.manifest import read_manifest
    from training.data.splits import check_splits
    from training.errors import LeakageError

    read = read_manifest(manifest)
    duplicates = compared(read, manifest, workers)
    show_duplicates(read.rows, duplicates)
    for line in contradictions(read.rows, duplicates):
        typer.echo(f"attention: {line}")
    show_splits(read.rows)
    try:
        check_splits(read.rows, duplicates)
    except LeakageError as error:
        typer.echo(str(error))
        raise typer.Exit(1) from None
