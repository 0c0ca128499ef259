"""`ocunet-train split`: a manifest's photographs, dealt out to training, validation and test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def split(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="The csv with the photographs.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the manifest with splits goes (csv).")],
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="FILE", help="Its shares and seed hold; OcuNet's without it.")
    ] = None,
    validation: Annotated[float | None, typer.Option("--validation", help="Share of the groups.")] = None,
    test: Annotated[float | None, typer.Option("--test", help="Share of the groups.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Another seed, another split.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read; one a processor without it.")
    ] = None,
) -> None:
    """Find copies, join their groups, and deal the groups out so that every side gets its share of each label.

    Rows that name a split keep it. Add photographs to the manifest that was written and split it again: only they are
    dealt. Exit status 1, and nothing is written, where one photograph, eye or patient was given to two splits.
    """
    from dataclasses import replace

    from training.cli.split_tables import compared, show_duplicates, show_splits
    from training.data.duplicates import contradictions, group_duplicates
    from training.data.manifest import read_manifest, write_manifest
    from training.data.splits import assign_splits, check_splits
    from training.errors import LeakageError
    from training.recipe import read_recipe

    chosen, read = read_recipe(recipe), read_manifest(manifest)
    duplicates = compared(read, manifest, workers)
    show_duplicates(read.rows, duplicates)
    try:
        check_splits(read.rows, duplicates)
    except LeakageError as error:
        typer.echo(f"{error}\n{out} is not written: change the splits of these lines, or empty them")
        raise typer.Exit(1) from None
    for line in contradictions(read.rows, duplicates):
        typer.echo(f"attention: {line}")
    rows = assign_splits(
        group_duplicates(read, duplicates).rows,
        validation=chosen.data.validation if validation is None else validation,
        test=chosen.data.test if test is None else test,
        seed=chosen.seed if seed is None else seed,
    )
    write_manifest(replace(read, rows=rows), out)
    show_splits(rows)
