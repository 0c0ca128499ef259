"""`backfill`: fetch past studies from an archive; `backfill status` and `backfill list` show where that stands.

Exit status: 0 everything that was asked for is here; 1 some studies failed, or the run ended early and can be resumed;
2 it cannot run as asked; 130 interrupted (Ctrl-C, SIGTERM) after the study that was being fetched.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ocunet_pacs.cli.options import ConfigOption
from ocunet_pacs.domain.backfill import BackfillState

if TYPE_CHECKING:
    from ocunet_pacs.app.backfill import BackfillRequest
    from ocunet_pacs.app.process import StopFlag
    from ocunet_pacs.domain.backfill import BackfillStudy
    from ocunet_pacs.pipeline.backfill import Result
    from ocunet_pacs.settings import Settings

app = typer.Typer(invoke_without_command=True, subcommand_metavar="[list|status]")

_INTERRUPTED = 130


class Order(StrEnum):
    """Which studies come first."""

    NEWEST = "newest"
    OLDEST = "oldest"


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
ArchiveFilter = Annotated[str | None, typer.Option("--from", metavar="ARCHIVE", help="Only this archive's.")]


@app.callback()
def backfill(
    context: typer.Context,
    source: Annotated[str, typer.Option("--from", metavar="ARCHIVE", help="Name of an archive in the settings.")] = "",
    date: Annotated[
        str,
        typer.Option(
            metavar="RANGE",
            help="Study dates: 2024, 2024-03, 2024-01-01..2024-06-30, 20240101-20240630; an end may be left open. "
            "Without it: what earlier runs found and did not fetch.",
        ),
    ] = "",
    modality: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Modality of the series to fetch; repeatable. Default: OP.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many studies.")] = None,
    order: Annotated[Order, typer.Option(help="Which studies come first.")] = Order.NEWEST,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count by month what would be fetched; fetch and record nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Give failed studies all their attempts again.")
    ] = False,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Serve counters for Prometheus here; 0: no.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Fetch past studies from an archive (C-FIND, then C-GET or C-MOVE), so that they are screened like new ones.

    Nothing is fetched twice: run the same command again to go on where it stopped, for whatever reason.
    """
    if context.invoked_subcommand is not None:
        return
    if not source:
        raise typer.BadParameter("name an archive of the settings", param_hint="--from")
    if dry_run and not date:
        raise typer.BadParameter("--dry-run needs a range", param_hint="--date")
    from ocunet_pacs import settings
    from ocunet_pacs.app.backfill import BackfillRequest, archive_peer, today
    from ocunet_pacs.app.process import stop_on_signals
    from ocunet_pacs.domain.dates import parse_range

    loaded = settings.load(config)
    archive_peer(loaded, source)
    try:
        dates = parse_range(date, today()) if date else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--date") from None
    request = BackfillRequest(
        archive=source,
        dates=dates,
        modalities=_modalities(modality or ["OP"]),
        limit=limit,
        newest_first=order is Order.NEWEST,
        retry_failed=retry_failed,
        metrics_port=metrics_port,
    )
    stop = stop_on_signals()
    raise typer.Exit(_preview(loaded, request, stop, as_json) if dry_run else _run(loaded, request, stop, as_json))


def _modalities(codes: list[str]) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(code.strip().upper() for code in codes))
    for word in words:
        if not re.fullmatch(r"[A-Z0-9_]{1,16}", word):
            raise typer.BadParameter(f"{word!r} is no modality; expected a code such as OP", param_hint="--modality")
    return words


def _run(settings: Settings, request: BackfillRequest, stop: StopFlag, as_json: bool) -> int:
    from ocunet_pacs.app.backfill import backfill as fetch
    from ocunet_pacs.cli.backfill_display import watching
    from ocunet_pacs.pipeline.backfill import Ending

    with watching(settings, f"{request.archive}") as watcher:
        result = fetch(settings, request, watcher, stop)
    if as_json:
        typer.echo(json.dumps(_as_json(result)))
    else:
        typer.echo(_sentence(result))
    if result.message:
        typer.echo(f"ended early: {result.message}", err=True)
    if result.ending is not Ending.DONE:
        typer.echo("to go on: run the same command again", err=True)
    for window in result.tally.cut:
        typer.echo(
            f"{request.archive} listed only a part of {window.first}..{window.last}: raise its limit of results, and "
            "run again",
            err=True,
        )
    if result.tally.failed or result.tally.given_up:
        typer.echo(f"reasons: ocunet-pacs backfill list --from {request.archive} --state failed", err=True)
    if result.ending is Ending.INTERRUPTED:
        return _INTERRUPTED
    return 0 if result.is_clean else 1


def _sentence(result: Result) -> str:
    tally = result.tally
    parts = [f"fetched {tally.fetched} studies ({tally.instances} images)"]
    parts += [
        f"{number} {words}"
        for number, words in (
            (tally.known, "done before"),
            (tally.present, "were here already"),
            (tally.nothing, "have no such images"),
            (tally.elsewhere, "are fetched by another run"),
            (tally.failed, "failed"),
            (tally.given_up, "failed too often before (--retry-failed)"),
        )
        if number
    ]
    return ", ".join(parts)


def _as_json(result: Result) -> dict[str, object]:
    tally = result.tally
    names = ("fetched", "instances", "known", "present", "nothing", "elsewhere", "failed", "given_up")
    return {
        "ending": str(result.ending),
        "message": result.message,
        **{name: getattr(tally, name) for name in names},
        "listed_in_part": [f"{window.first}..{window.last}" for window in tally.cut],
    }


def _preview(settings: Settings, request: BackfillRequest, stop: StopFlag, as_json: bool) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from ocunet_pacs import logs
    from ocunet_pacs.app.backfill import preview
    from ocunet_pacs.domain.errors import ArchiveError

    logs.configure("error")
    try:
        found = preview(settings, request, stop)
    except ArchiveError as error:
        typer.echo(str(error), err=True)
        return 1
    total = {
        name: sum(getattr(month, name) for month in found.months.values()) for name in ("to_fetch", "failed", "done")
    }
    if as_json:
        typer.echo(
            json.dumps({"months": {name: asdict(month) for name, month in found.months.items()}, "total": total})
        )
    else:
        table = Table("month", "to fetch", "failed before", "done", box=None, padding=(0, 2, 0, 0))
        for name, month in found.months.items():
            table.add_row(name, str(month.to_fetch), str(month.failed), str(month.done))
        table.add_row("total", *map(str, total.values()), style="bold")
        Console().print(table)
    for window in found.cut:
        typer.echo(f"{request.archive} listed only a part of {window.first}..{window.last}", err=True)
    if found.interrupted:
        return _INTERRUPTED
    return 1 if found.cut else 0


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how many studies of each archive are fetched, failed, or still to fetch."""
    from ocunet_pacs import logs, settings
    from ocunet_pacs.app.backfill import opened_ledger

    loaded = settings.load(config)
    logs.configure("error")
    with opened_ledger(loaded) as ledger:
        counts = ledger.past_study_counts()
    archives = sorted({archive for archive, _ in counts} | {archive.name for archive in loaded.archives})
    found = {name: {str(state): counts.get((name, state), 0) for state in BackfillState} for name in archives}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("archive", *map(str, BackfillState), box=None, padding=(0, 2, 0, 0))
    for name, numbers in found.items():
        table.add_row(name, *map(str, numbers.values()))
    Console().print(table)


@app.command("list")
def list_studies(
    source: ArchiveFilter = None,
    state: Annotated[BackfillState | None, typer.Option(help="Only studies in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 100,
    after: Annotated[int, typer.Option(min=0, help="Only those with a higher number: the next page.")] = 0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show past studies and where their fetching stands, in the order in which they were found."""
    from ocunet_pacs import logs, settings
    from ocunet_pacs.app.backfill import opened_ledger

    loaded = settings.load(config)
    logs.configure("error")
    with opened_ledger(loaded) as ledger:
        rows = ledger.past_studies(archive=source, state=state, after=after, limit=limit)
    if as_json:
        typer.echo(json.dumps([_row(row) for row in rows], indent=2))
    elif rows:
        _print_rows(rows)
    else:
        typer.echo("no studies")


def _row(row: BackfillStudy) -> dict[str, object]:
    return {
        "id": row.id,
        "archive": row.archive,
        "study": row.study_instance_uid,
        "modalities": list(row.modalities),
        "state": str(row.state),
        "attempts": row.attempts,
        "images": row.instances,
        "changed_at": row.changed_at.isoformat(timespec="seconds"),
        "reason": row.reason,
    }


def _print_rows(rows: list[BackfillStudy]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = ("id", "archive", "study", "state", "attempts", "images", "changed_at", "reason")
    table = Table(*names, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        facts = _row(row)
        table.add_row(*(Text("" if facts[name] is None else str(facts[name])) for name in names))
    Console().print(table)
