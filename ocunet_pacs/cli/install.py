"""`install`: units, account, folders and a first settings file for this host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def install(
    prefix: Annotated[
        Path, typer.Option("--prefix", help="Folder of the virtual environment that the units run.")
    ] = Path("/opt/ocunet-pacs"),
    root: Annotated[
        Path, typer.Option("--root", help="Put everything below this folder: an image, or a trial.", file_okay=False)
    ] = Path("/"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Put units, account, folders and a first settings file in place; starts nothing.

    May be run again: what is ours is brought up to date, and a settings file that is there is never touched.
    """
    from ocunet_pacs.app.install import Done, hidden, next_steps, plan, put

    items = plan(prefix)
    done = put(items, root, dry_run=dry_run)
    for item, what in done:
        typer.echo(f"{what:<10} {item.path}")
    for path in hidden(items, root):
        typer.echo(f"warning: {path} hides the unit of this release; remove it, or make it a drop-in", err=True)
    if not (root / prefix.relative_to("/") / "bin" / "ocunet-pacs").exists():
        typer.echo(f"warning: {prefix}/bin/ocunet-pacs, which the units start, is not there", err=True)
    if dry_run:
        typer.echo("nothing was written")
    elif all(what in {Done.UNCHANGED, Done.KEPT} for _, what in done):
        typer.echo("everything was there already")
    else:
        typer.echo("next:" + "".join(f"\n  {step}" for step in next_steps(prefix)))
