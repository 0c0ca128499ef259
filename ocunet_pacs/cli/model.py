"""`model`: bundles made, shown and checked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ocunet_pacs.model.manifest import Manifest

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The bundle's folder.", show_default=False)]


@app.command("import")
def import_(
    checkpoint: Annotated[Path, typer.Argument(help="OcuNet's checkpoint (.pth).", show_default=False)],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to make.", show_default=False)],
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="Its calibration.yaml.")
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option("--thresholds", metavar="FILE", help="Its optimal_thresholds.yaml; goes first.")
    ] = None,
    operating_point: Annotated[
        list[str] | None,
        typer.Option(
            "--operating-point",
            metavar="NAME=FILE",
            help="Thresholds under a name of their own, such as screening=high_sensitivity.yaml; repeatable.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The bundle's name; the checkpoint's file name.")] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Mark the weights as untrained, whatever the checkpoint says.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
) -> None:
    """Make a bundle from a checkpoint that OcuNet wrote. Nothing in the checkpoint is executed."""
    from ocunet_pacs.model.bundle import import_checkpoint

    manifest = import_checkpoint(
        checkpoint,
        out,
        calibration=calibration,
        thresholds=thresholds,
        operating_points=_points(operating_point or []),
        name=name,
        untrained=untrained,
        overwrite=overwrite,
        now=datetime.now(UTC),
    )
    state = "calibrated" if manifest.calibrated else "NOT CALIBRATED"
    typer.echo(f"{out}: {manifest.name}, {_training(manifest)}, {state}, {manifest.digest}")


@app.command()
def research(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that becomes the bundle.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare/--no-prepare", help="Make the files of the fast CPU runtime.")
    ] = True,
) -> None:
    """Copy the research bundle that this release may ship, for a daemon to serve. `model import` replaces it."""
    from ocunet_pacs.model.research import copy_research_bundle

    manifest = copy_research_bundle(out, overwrite=overwrite, prepare=prepare)
    typer.echo(f"{out}: {manifest.name}, {_training(manifest)}, {manifest.digest}")


@app.command()
def show(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False) -> None:
    """Show what a bundle is, where it comes from and which thresholds it applies. Weights are not read."""
    from ocunet_pacs.model.manifest import read_manifest

    manifest = read_manifest(folder)
    if as_json:
        typer.echo(manifest.to_bytes().decode("ascii"), nl=False)
        return
    from rich.console import Console

    console = Console()
    console.print(_facts(manifest))
    console.print(_labels(manifest))


@app.command()
def verify(folder: Folder) -> None:
    """Check a bundle's digests, load its weights and run them once."""
    from ocunet_pacs.model.bundle import verify_bundle

    manifest = verify_bundle(folder)
    typer.echo(f"{folder}: good: {manifest.name}, {_training(manifest)}, {manifest.digest}")


@app.command()
def prepare(folder: Folder) -> None:
    """Make (again) the files from which a CPU runs this bundle fast. The bundle's digest stays what it is."""
    from ocunet_pacs.model.bundle import prepare_bundle

    manifest = prepare_bundle(folder)
    typer.echo(f"{folder}: prepared for ONNX Runtime: {manifest.name}, {manifest.digest}")


def _points(options: list[str]) -> dict[str, Path]:
    points: dict[str, Path] = {}
    for option in options:
        name, equals, file = option.partition("=")
        if not (name and equals and file) or name in points:
            raise typer.BadParameter(f"{option!r} is not NAME=FILE with a new name", param_hint="--operating-point")
        points[name] = Path(file)
    return points


def _training(manifest: Manifest) -> str:
    if not manifest.trained:
        return "UNTRAINED"
    return "trained, for research only" if manifest.research else "trained"


def _facts(manifest: Manifest) -> Table:
    from rich.table import Table
    from rich.text import Text

    source = manifest.provenance
    facts = {
        "name": manifest.name,
        "digest": manifest.digest,
        "weights": _training(manifest),
        "made": manifest.created_at.isoformat(timespec="seconds"),
        "architecture": manifest.architecture,
        "input": f"{manifest.preprocess.image_size} x {manifest.preprocess.image_size}",
        "temperature": f"{manifest.temperature:g} ({source.temperature_from or 'origin unknown'})",
        "thresholds": source.thresholds_from or "origin unknown",
        "calibrated": "yes" if manifest.calibrated else "NO",
        "operating points": ", ".join(("default", *manifest.operating_points)),
        "labels it does not know": ", ".join(manifest.missing_labels) or "none",
        "source sha256": source.source_sha256 or "unknown",
        "config sha256": source.config_sha256 or "unknown",
        "epoch": "unknown" if source.epoch is None else str(source.epoch),
        "metrics": ", ".join(f"{name} {value:.4g}" for name, value in source.metrics.items()) or "none",
        "software": ", ".join(f"{name} {value}" for name, value in source.software.items()) or "unknown",
        **source.notes,
    }
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in facts.items():
        table.add_row(key, Text(value, overflow="fold"))
    return table


def _labels(manifest: Manifest) -> Table:
    from rich.table import Table

    from ocunet_pacs.domain.labels import BY_NAME

    points = {"threshold": manifest.thresholds, **manifest.operating_points}
    if manifest.label_temperatures:
        points["temperature"] = dict(zip(manifest.labels, manifest.temperatures, strict=True))
    table = Table("#", "label", *points, "shown as", box=None, padding=(0, 2, 0, 0))
    for index, label in enumerate(manifest.labels):
        thresholds = (f"{chosen[label]:.3f}" for chosen in points.values())
        table.add_row(str(index), label, *thresholds, BY_NAME[label].display)
    return table
