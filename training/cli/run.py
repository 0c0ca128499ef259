"""`ocunet-train run`: from a manifest and a recipe to a bundle, its evaluation and its card, in one command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.train import INTERRUPTED, SetOption, conclude

if TYPE_CHECKING:
    from training.data.manifest import Manifest


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML; see `ocunet-train recipe`.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The run's folder.")],
    manifest: Annotated[
        Path | None, typer.Option("--manifest", metavar="CSV", help="See `ocunet-train manifest`.")
    ] = None,
    partial: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Instead: image, dataset, group, positive, negative; gathered first."),
    ] = None,
    changes: SetOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out; begin where there is none.")
    ] = False,
    device: Annotated[
        str, typer.Option("--device", help="auto (a GPU where there is one), cpu, cuda or cuda:N.")
    ] = "auto",
    draws: Annotated[int, typer.Option(min=1, help="Resamplings of the groups, for intervals.")] = 1000,
) -> None:
    """Do all of it: group copies, assign splits, prepare, train, calibrate, export, evaluate, and write the card.

    Where the recipe names sources under evaluation.without, each costs another training, after all that.

    Ctrl-C or SIGTERM while it trains finishes the step and ends with status 75. Whenever it ends, the same command with
    --resume goes on.
    """
    from datetime import UTC, datetime

    from rich.console import Console

    from training.data.loading import worker_count
    from training.errors import ManifestError
    from training.learning.distributed import joined
    from training.learning.progress import display_on
    from training.recipe import read_recipe
    from training.run import run as do
    from training.stages import Tools

    if (manifest is None) == (partial is None):
        raise ManifestError("name the photographs: --manifest, or --partial, and not both")
    chosen = read_recipe(recipe, changes or ())
    with joined(device) as (world, place), display_on(Console(stderr=True)) as display:
        tools = Tools(
            device=place,
            world=world,
            display=display,
            now=lambda: datetime.now(UTC),
            workers=worker_count(chosen.data.workers),
        )
        outcome = do(chosen, lambda: _photographs(manifest, partial, out), out, tools, resume=resume, draws=draws)
    conclude(outcome)
    if outcome.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)
    typer.echo(f"{out / 'bundle'}: the bundle; {out / 'card.md'}: its card; {out / 'evaluation'}: its evaluation")


def _photographs(manifest: Path | None, partial: Path | None, out: Path) -> Manifest:
    """The rows of a manifest, or those of a list that has yet to become one."""
    from functools import partial as bound

    from training.corpora.gathering import list_all, read_all
    from training.corpora.labelled import list_partial
    from training.corpora.reading import Reading
    from training.data.manifest import read_manifest

    if manifest is not None:
        return read_manifest(manifest)
    assert partial is not None
    listed = list_all([bound(list_partial, partial)], [], incomplete=False)
    return read_all(listed, Reading(workers=len(os.sched_getaffinity(0))), out).manifest
