"""`ocunet-train run`: from a manifest and a recipe to a bundle, its evaluation and its card, in one command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from training.cli.train import INTERRUPTED, conclude


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML; see `ocunet-train recipe`.")],
    manifest: Annotated[Path, typer.Option("--manifest", metavar="CSV", help="See `ocunet-train manifest`.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The run's folder.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out; begin where there is none.")
    ] = False,
    device: Annotated[
        str, typer.Option("--device", help="auto (a GPU where there is one), cpu, cuda or cuda:N.")
    ] = "auto",
    draws: Annotated[int, typer.Option(min=1, help="Resamplings of the groups, for intervals.")] = 1000,
) -> None:
    """Do all of it: group copies, assign splits, prepare, train, calibrate, export, evaluate, and write the card.

    Ctrl-C or SIGTERM while it trains finishes the step and ends with status 75. Whenever it ends, the same command with
    --resume goes on.
    """
    from datetime import UTC, datetime

    from rich.console import Console

    from training.data.manifest import read_manifest
    from training.learning.distributed import joined
    from training.learning.progress import display_on
    from training.recipe import read_recipe
    from training.run import Tools
    from training.run import run as do

    chosen, rows = read_recipe(recipe), read_manifest(manifest)
    with joined(device) as (world, place), display_on(Console(stderr=True)) as display:
        tools = Tools(
            device=place,
            world=world,
            display=display,
            now=lambda: datetime.now(UTC),
            workers=os.cpu_count() or 1,
        )
        outcome = do(chosen, rows, out, tools, resume=resume, draws=draws)
    conclude(outcome)
    if outcome.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)
    typer.echo(f"{out / 'bundle'}: the bundle; {out / 'card.md'}: its card; {out / 'evaluation'}: its evaluation")
