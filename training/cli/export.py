"""`ocunet-train export`: a trained run to a bundle that the daemon serves, calibrated on the validation split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of `ocunet-train train`.")],
    manifest: Annotated[Path, typer.Option("--manifest", metavar="CSV", help="The manifest that it was trained with.")],
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="The pictures that it was trained with.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The bundle's folder.")],
    half: Annotated[
        bool, typer.Option("--half", help="Store large weights as float16: half the size, proved to say the same.")
    ] = False,
    device: Annotated[
        str, typer.Option("--device", help="auto (a GPU where there is one), cpu, cuda or cuda:N.")
    ] = "auto",
) -> None:
    """Calibrate a run's best epoch on the validation split and write it as a bundle, proved to say the same."""
    from datetime import UTC, datetime

    from training.data.manifest import read_manifest
    from training.learning.distributed import joined
    from training.learning.folder import RECIPE
    from training.learning.prepared import prepare
    from training.learning.progress import Silent
    from training.recipe import read_recipe
    from training.run import Tools, to_bundle

    recipe, rows = read_recipe(run / RECIPE), read_manifest(manifest)
    with joined(device) as (world, place):
        tools = Tools(
            device=place,
            world=world,
            display=Silent(),
            now=lambda: datetime.now(UTC),
            workers=os.cpu_count() or 1,
        )
        made = to_bundle(recipe, rows, prepare(recipe, rows, cache, world=world), run, out, tools, half=half)
    typer.echo(f"{out}: {made.name}, {len(made.labels)} labels, {made.digest}")
