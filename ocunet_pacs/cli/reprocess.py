"""`reprocess`: reports again, from the photographs that are here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ocunet_pacs.cli.options import ConfigOption


def reprocess(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY...]", help="Study Instance UIDs.", show_default=False)
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"],
            metavar="DATE",
            help="Studies that got an image since then: 2026-11-25, or 2026-11-25T08:00, local time.",
        ),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Studies whose last report came from this bundle; a beginning will do."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many studies that would be.")] = False,
    config: ConfigOption = None,
) -> None:
    """Ask for a new revision of studies: each gets a report that names the one it replaces.

    With a new bundle in place, `--bundle OLD` asks for everything that the old one said. Exit status 1 when a study
    that was named is not here or cannot be looked at again.
    """
    if not studies and since is None and bundle is None:
        raise typer.BadParameter("name studies, or give --since or --bundle")
    from ocunet_pacs.app.database import opened_jobs
    from ocunet_pacs.app.reprocess import chosen
    from ocunet_pacs.app.reprocess import reprocess as run
    from ocunet_pacs.settings import load

    settings = load(config)
    moment = None if since is None else since.astimezone(UTC)
    with opened_jobs(settings) as jobs:
        named: list[str | None] = [*studies] if studies else [None]
        found = [study for uid in named for study in chosen(jobs, study=uid, since=moment, bundle=bundle or None)]
        missing = [uid for uid in studies or [] if uid not in {study.study_instance_uid for study in found}]
        if dry_run:
            typer.echo(f"{len(found)} studies, {sum(study.removed for study in found)} of them without files by now")
            return
        asked = run(settings, jobs, found, jobs.clock)
    typer.echo(f"{len(asked.jobs)} studies wait for a new revision")
    if asked.busy:
        typer.echo(f"{asked.busy} left as they are: open, waiting for an analysis already, or some of their files gone")
    if asked.removed:
        typer.echo(f"{asked.removed} left as they are: their files are no longer kept")
    for uid in missing:
        typer.echo(f"{uid}: no such study with these properties is here", err=True)
    if missing or (studies and asked.removed):
        raise typer.Exit(1)
