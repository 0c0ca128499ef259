"""`ocunet-train export`: a trained run to a bundle that the daemon serves, calibrated on the validation split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of `ocunet-train train`.")],
    manifest: Annotated[Path, typer.Option("--manifest", metavar="CSV", help="The manifest that it was trained with.")],
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="The pictures that it was trained with.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The bundle's folder.")],
    half: Annotated[
        bool | None,
        typer.Option("--half/--no-half", help="Large weights as float16: half the size, proved to say the same."),
    ] = None,
    prepare: Annotated[
        bool | None,
        typer.Option("--prepare/--no-prepare", help="Write the fast CPU runtime's files too; they can be made later."),
    ] = None,
    drift: Annotated[
        bool | None,
        typer.Option("--drift/--no-drift", help="Measure the validation photographs for the drift watch; takes 100."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="auto (a GPU where there is one), cpu, cuda or cuda:N.")
    ] = "auto",
) -> None:
    """Calibrate a run's best epoch on the validation split and write it as a bundle, proved to say the same.

    Without an option, what the run's recipe says under `export` holds.
    """
    from datetime import UTC, datetime

    from training.data.loading import worker_count
    from training.data.manifest import read_manifest
    from training.learning.distributed import joined
    from training.learning.folder import RECIPE
    from training.learning.prepared import prepare as prepared_of
    from training.learning.progress import Silent
    from training.recipe import read_recipe
    from training.stages import Tools, to_bundle, write_drift_reference

    asked = {"half": half, "prepare": prepare, "drift": drift}
    changes = [f"export.{name}={str(value).lower()}" for name, value in asked.items() if value is not None]
    recipe, rows = read_recipe(run / RECIPE, changes), read_manifest(manifest)
    with joined(device) as (world, place):
        tools = Tools(
            device=place,
            world=world,
            display=Silent(),
            now=lambda: datetime.now(UTC),
            workers=worker_count(recipe.data.workers),
        )
        prepared = prepared_of(recipe, rows, cache, world=world)
        made = to_bundle(recipe, rows, prepared, run, out, tools)
        if recipe.export.drift:
            write_drift_reference(out, rows, prepared, tools)
    typer.echo(f"{out}: {made.name}, {len(made.labels)} labels, {made.digest}")
