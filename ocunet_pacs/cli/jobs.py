"""`jobs list`, `show`, `retry`, `discard`: the queue, for a person.

Exit status 1 when a job that was named is not there, or is not dead and so cannot be retried or discarded.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Annotated

import typer

from ocunet_pacs.cli.options import ConfigOption
from ocunet_pacs.domain.job import JobKind, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.job import Job
    from ocunet_pacs.jobs.sql import SqlJobs

app = typer.Typer(no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
JobId = Annotated[int, typer.Argument(metavar="ID", help="Number of the job, from `jobs list`.")]
JobIds = Annotated[list[int], typer.Argument(metavar="ID...", help="Numbers of dead jobs, from `jobs list`.")]
OptionalJobIds = Annotated[
    list[int] | None, typer.Argument(metavar="[ID...]", help="Numbers of dead jobs, from `jobs list`.")
]


@app.command("list")
def list_jobs(
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    kind: Annotated[JobKind | None, typer.Option(help="Only jobs of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 100,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show jobs, newest first."""
    with _opened(config) as store:
        found = [(job, store.describe(job)) for job in store.find(state=state, kind=kind, limit=limit)]
    if as_json:
        typer.echo(json.dumps([_as_dict(job, subject) for job, subject in found], indent=2))
    elif found:
        _print_table(found)
    else:
        typer.echo("no jobs")


@app.command()
def show(job_id: JobId, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show everything that is known about one job."""
    with _opened(config) as store:
        job = store.get(job_id)
        subject = {} if job is None else store.describe(job)
    if job is None:
        typer.echo(f"job {job_id}: not there", err=True)
        raise typer.Exit(1)
    facts = _as_dict(job, subject)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if value is not None:
            typer.echo(f"{name + ':':<18}{value}")


@app.command()
def retry(
    job_ids: OptionalJobIds = None,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="Every dead job.")] = False,
    config: ConfigOption = None,
) -> None:
    """Let dead jobs wait again, with all their attempts."""
    if bool(job_ids) == all_dead:
        msg = "name the jobs, or give --all-dead"
        raise typer.BadParameter(msg)
    with _opened(config) as store:
        now = store.clock()
        if all_dead:
            total = sum(number for (_, state), number in store.counts().items() if state is JobState.DEAD)
            job_ids = [job.id for job in store.find(state=JobState.DEAD, limit=max(total, 1))]
        _apply(job_ids or [], lambda job_id: store.retry(job_id, now), "waits again", strict=not all_dead)


@app.command()
def discard(job_ids: JobIds, config: ConfigOption = None) -> None:
    """Put dead jobs away for good; their rows stay."""
    with _opened(config) as store:
        now = store.clock()
        _apply(job_ids, lambda job_id: store.discard(job_id, now), "discarded", strict=True)


@contextmanager
def _opened(config: Path | None) -> Iterator[SqlJobs]:
    from ocunet_pacs.app.database import opened_jobs
    from ocunet_pacs.settings import load

    with opened_jobs(load(config)) as jobs:
        yield jobs


def _apply(job_ids: list[int], change: Callable[[int], bool], changed: str, *, strict: bool) -> None:
    """Change the jobs one by one; exit status 1 at the end when `strict` and one was not dead."""
    refused = 0
    for job_id in dict.fromkeys(job_ids):
        if change(job_id):
            typer.echo(f"job {job_id}: {changed}")
        else:
            refused += 1
            typer.echo(f"job {job_id}: not dead, left as it is", err=True)
    if not job_ids:
        typer.echo("no dead jobs")
    if refused and strict:
        raise typer.Exit(1)


def _as_dict(job: Job, subject: dict[str, str]) -> dict[str, object]:
    return {
        "id": job.id,
        "kind": job.kind.value,
        "state": job.state.value,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "run_at": _time(job.run_at),
        "created_at": _time(job.created_at),
        "lease_owner": job.lease_owner,
        "lease_expires_at": _time(job.lease_expires_at),
        "finished_at": _time(job.finished_at),
        "reason": job.reason,
        # The subject's own words follow: an output's kind must not hide the job's.
        **{("output" if name == "kind" else name): value for name, value in subject.items()},
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _print_table(found: list[tuple[Job, dict[str, str]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("id", justify="right")
    for column in ("kind", "state", "tries", "run at (UTC)"):
        table.add_column(column, no_wrap=True)
    table.add_column("about", overflow="fold")
    table.add_column("reason", overflow="fold")
    for job, subject in found:
        about = f"study {subject.get('study', '?')} revision {subject.get('revision', '?')}"
        if job.kind is JobKind.DELIVER:
            about = f"{subject.get('kind', '?')} {subject.get('object', '?')} → {subject.get('destination', '?')}"
        elif job.kind is JobKind.SHADOW:
            about += f" by candidate {subject.get('candidate', '?')}"
        table.add_row(
            str(job.id),
            job.kind.value,
            job.state.value,
            f"{job.attempt}/{job.max_attempts}",
            f"{job.run_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            about,
            job.reason or "",
        )
    # A reason may hold brackets: they are text, not rich's markup.
    Console(markup=False, highlight=False).print(table)
