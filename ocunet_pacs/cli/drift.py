"""`drift report`, `drift run`, `drift accept`, `drift reference`: has what a camera sends changed?"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ocunet_pacs.cli.options import ConfigOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

app = typer.Typer(no_args_is_help=True)


@app.command()
def report(
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DATE", help="Every night since then, not only the last: 2026-11-25."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show measures that have not changed, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show how each camera stands beside its reference. Exit status 1 when one has changed or is new."""
    from ocunet_pacs.app.database import opened_jobs
    from ocunet_pacs.app.drift import drift_report
    from ocunet_pacs.settings import load

    first: date | None = None if since is None else since.date()
    with opened_jobs(load(config)) as jobs:
        nights = drift_report(jobs, first, 1 if first is None else 10_000)
    _show(nights, every=every, as_json=as_json)
    raise typer.Exit(1 if nights and any(camera["alert"] for camera in nights[0]["cameras"]) else 0)


@app.command()
def run(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    config: ConfigOption = None,
) -> None:
    """Compare now, without waiting for the night. Exit status 1 when a camera has changed or is new."""
    from ocunet_pacs.app.database import opened_jobs
    from ocunet_pacs.app.drift import drift_report, watch
    from ocunet_pacs.settings import load

    settings = load(config)
    with opened_jobs(settings) as jobs:
        watch(settings, jobs, jobs.clock(), lambda: False)
        nights = drift_report(jobs)
    _show(nights, every=False, as_json=as_json)
    raise typer.Exit(1 if nights and any(camera["alert"] for camera in nights[0]["cameras"]) else 0)


@app.command()
def accept(
    camera: Annotated[
        str, typer.Argument(help="The camera's digits as `drift report` shows them; a beginning will do.")
    ],
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"],
            metavar="DATE",
            help="Since when it is as it should be: 2026-11-25, or 2026-11-25T08:00, local time. Without: from now on.",
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Accept how a camera is since then: its reference is made anew, of its photographs since that moment."""
    from ocunet_pacs.app.database import opened_jobs
    from ocunet_pacs.app.drift import find_camera
    from ocunet_pacs.settings import load

    with opened_jobs(load(config)) as jobs:
        found = find_camera(jobs, camera)
        if found is None:
            typer.echo(f"there is no one camera whose digits begin with {camera}; there are:", err=True)
            for known in jobs.cameras():
                typer.echo(f"{known.digest} {known.words}", err=True)
            raise typer.Exit(1)
        moment = datetime.now(UTC) if since is None else since.astimezone(UTC)
        jobs.forget_baselines(found.id, moment)
    typer.echo(f"{found.words}: compared again once there are enough photographs since {moment:%Y-%m-%d %H:%M} UTC")


@app.command()
def reference(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Photographs, DICOM files, or folders of them.")
    ],
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Model bundle; the settings' own without it.")] = None,
    config: ConfigOption = None,
) -> None:
    """Measure the photographs on which a bundle was found good, for cameras to be compared with. Needs 100 of them."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    from ocunet_pacs import logs, settings
    from ocunet_pacs.app.drift_reference import make_reference
    from ocunet_pacs.app.parts import gate_rules, load_predictor
    from ocunet_pacs.app.predict import find_inputs
    from ocunet_pacs.drift.bundle_reference import write_bundle_reference

    loaded = settings.load(config) if config or bundle is None else settings.from_environment()
    logs.configure("error")
    chosen = loaded.model.model_copy(update={"bundle": bundle} if bundle else {})
    inputs = find_inputs(paths)
    predictor = load_predictor(loaded.model_copy(update={"model": chosen}))
    console = Console(stderr=True)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console, transient=True) as bar:
        task = bar.add_task("measuring", total=len(inputs))
        made = make_reference(
            inputs, predictor, gate_rules(loaded), datetime.now(UTC), lambda done: bar.advance(task, done)
        )
    path = write_bundle_reference(chosen.bundle, made, predictor.manifest.weights_sha256)
    typer.echo(f"{path}: of {made.image.photographs} photographs, {made.scores.photographs} of them scored")


def _show(nights: list[dict[str, Any]], *, every: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(nights, indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    if not nights:
        console.print("no night yet")
    for night in nights:
        for table in _tables(night, every=every):
            console.print(table)
            console.print()


def _tables(night: dict[str, Any], *, every: bool) -> Iterator[Table]:
    from rich.table import Table

    summary = Table(title=f"Night of {night['night']}", title_justify="left", box=None, pad_edge=False)
    for column in ("camera", "name", "photographs", "patients", "how it stands"):
        summary.add_column(column, justify="right" if column in {"photographs", "patients"} else "left")
    for camera in night["cameras"]:
        numbers = (str(camera["photographs"]), str(camera["patients"]))
        standing = ("ATTENTION: " if camera["alert"] else "") + camera["standing"]
        if camera["beside_bundle"]:
            standing += f"; beside the bundle: {camera['beside_bundle']}"
        summary.add_row(camera["camera"], camera["name"], *numbers, standing)
    yield summary
    for camera in night["cameras"]:
        shown = [one for one in camera["measures"] if every or one["alert"]]
        if not shown:
            continue
        table = Table(title=camera["name"], title_justify="left", box=None, pad_edge=False)
        for column in ("measure", "value", "limit", "", "what it is", "what to look at"):
            table.add_column(column, justify="right" if column in {"value", "limit"} else "left")
        for one in shown:
            figures = (f"{one['value']:.2f}", f"{one['limit']:.2f}")
            table.add_row(
                one["measure"], *figures, one["direction"], one["what"], one["look_at"] if one["alert"] else ""
            )
        yield table
