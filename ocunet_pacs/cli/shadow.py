"""`shadow run`, `shadow report`: a candidate bundle beside the active one, and what came of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ocunet_pacs.cli.options import ConfigOption, start_reloading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

app = typer.Typer(no_args_is_help=True)


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the shadow role alone: the candidate looks at what was reported. `serve` starts it where one is set."""
    reloading = start_reloading(config, "shadow")
    from ocunet_pacs.app.process import stand_back

    stand_back(reloading.settings.shadow.memory)
    from ocunet_pacs.app.shadow import run as run_role

    raise typer.Exit(run_role(reloading))


@app.command()
def report(
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"],
            metavar="DATE",
            help="Only studies reported since then: 2026-11-25, or 2026-11-25T08:00, local time.",
        ),
    ] = None,
    bundle: Annotated[
        str, typer.Option(metavar="DIGEST", help="Another candidate than that of the settings; a beginning will do.")
    ] = "",
    active: Annotated[
        str,
        typer.Option(metavar="DIGEST", help="Another active bundle than the latest; a beginning will do."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show how a candidate agrees with the active bundle, label by label, and how its scores drift.

    Exit status 1 when no such candidate has looked at anything.
    """
    from ocunet_pacs.app.database import opened_jobs
    from ocunet_pacs.app.shadow_report import find_candidate, shadow_report
    from ocunet_pacs.settings import load

    settings = load(config)
    with opened_jobs(settings) as jobs:
        candidate = find_candidate(settings, jobs, bundle)
        if candidate is None:
            typer.echo(f"no candidate {bundle + ' ' if bundle else ''}has looked at anything here", err=True)
            for known in jobs.candidates():
                typer.echo(f"{known.digest[:12]} {known.name}, {known.operating_point}", err=True)
            raise typer.Exit(1)
        moment = None if since is None else since.astimezone(UTC)
        found = shadow_report(settings, jobs, candidate, since=moment, active=active)
    if as_json:
        typer.echo(json.dumps(found, indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    for table in _tables(found):
        console.print(table)
        console.print()


def _tables(found: dict[str, Any]) -> Iterator[Table]:
    yield _summary(found)
    if found["labels"]:
        yield _agreement(found["labels"])
        yield _drift(found["labels"])
    if found["furthest"]:
        yield _furthest(found["furthest"])


def _summary(found: dict[str, Any]) -> Table:
    from rich.table import Table

    studies, images = found["studies"], found["images"]
    share = None if images["same_positives"] is None else images["same_positives"] / images["compared"]
    rows = [
        ("candidate", _bundle(found["candidate"])),
        ("compared with", _bundle(found["active"]) if found["active"] else "nothing yet"),
        ("studies", f"{studies['compared']} compared, {_number(studies['waiting'])} to do, {studies['failed']} failed"),
        ("reported", f"{found['first']} to {found['last']}" if found["first"] else "-"),
        ("images", f"{images['compared']} compared; the same labels positive in {_percent(share)}"),
        *(("not scored", f"{number} images: {reason}") for reason, number in images["not_scored"].items()),
        *(("not compared", f"{number} studies: {note}") for note, number in found["nothing_to_compare"].items()),
        *(("failed", f"{number} studies: {reason}") for reason, number in found["failures"].items()),
        *(("left out", f"{bundle['images']} images, of {_bundle(bundle)}") for bundle in found["left_out"]),
        *(("only active knows", ", ".join(found["only_active"])) for _ in found["only_active"][:1]),
        *(("only candidate knows", ", ".join(found["only_candidate"])) for _ in found["only_candidate"][:1]),
    ]
    if found["active"] and found["active"]["digest"] == found["candidate"]["digest"]:
        rows.append(("attention", "the candidate is the active bundle itself"))
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, words in rows:
        table.add_row(name, words)
    return table


def _agreement(labels: list[dict[str, Any]]) -> Table:
    columns = ("images", "both +", "only active", "only cand.", "both -", "agree", "kappa", "1st half", "2nd half")
    table = _label_table("At the thresholds", columns)
    for label in labels:
        table.add_row(
            label["label"],
            *(_number(label[name]) for name in ("images", "both", "only_active", "only_candidate", "neither")),
            _percent(label["agreement"]),
            _decimal(label["kappa"]),
            *(_percent(label[half]["agreement"]) for half in ("first_half", "second_half")),
        )
    return table


def _drift(labels: list[dict[str, Any]]) -> Table:
    columns = ("mean diff.", "1st half", "2nd half", "PSI", "1st half", "2nd half", "rank corr.")
    table = _label_table("Scores, candidate minus active", columns)
    for label in labels:
        parts = (label, label["first_half"], label["second_half"])
        table.add_row(
            label["label"],
            *(_decimal(part["mean_difference"], sign=True) for part in parts),
            *(_decimal(part["stability"]) for part in parts),
            _decimal(label["rank_correlation"]),
        )
    return table


def _furthest(furthest: list[dict[str, Any]]) -> Table:
    columns = ("job", "image", "label", "active", "candidate")
    table = _label_table("Furthest apart", columns, first="study")
    for one in furthest:
        image = str(one["image"]) if one["frame"] is None else f"{one['image']} frame {one['frame']}"
        said = (f"{_decimal(one[who])} {'+' if one[f'{who}_positive'] else '-'}" for who in ("active", "candidate"))
        table.add_row(one["study"], str(one["job"]), image, one["label"], *said)
    return table


def _label_table(title: str, columns: tuple[str, ...], first: str = "label") -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _bundle(bundle: dict[str, Any]) -> str:
    return f"{bundle['name']} {bundle['digest'][:12]}, operating point {bundle['operating_point']}"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _decimal(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.3f}" if sign else f"{value:.3f}"
