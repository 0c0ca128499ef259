"""`db …`: the database's schema, its backup and its integrity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ocunet_pacs.cli.options import ConfigOption

app = typer.Typer(no_args_is_help=True)


@app.command()
def upgrade(config: ConfigOption = None) -> None:
    """Bring the database's schema to this release's. Does nothing when it is there already."""
    from ocunet_pacs.jobs import migrate
    from ocunet_pacs.jobs.engine import open_engine
    from ocunet_pacs.settings import load

    engine = open_engine(load(config).database.url)
    try:
        revision = migrate.upgrade(engine)
    finally:
        engine.dispose()
    typer.echo(f"the database has schema {revision}")


@app.command()
def check(config: ConfigOption = None) -> None:
    """Say whether this release can work with the database as it is; exit status 2 and what to do when it cannot."""
    from ocunet_pacs.jobs import migrate
    from ocunet_pacs.jobs.engine import open_engine
    from ocunet_pacs.settings import load

    engine = open_engine(load(config).database.url)
    try:
        revision = migrate.check(engine)
    finally:
        engine.dispose()
    typer.echo(f"the database has schema {revision}, as this release needs")


@app.command()
def backup(
    out: Annotated[Path, typer.Option("--out", help="File for the copy, in a folder that exists.", show_default=False)],
    config: ConfigOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where it is there already.")] = False,
) -> None:
    """Copy SQLite's database while the daemon works, and check the copy. For PostgreSQL it says what to run instead
    and ends with status 2, as for anything else that cannot be done.
    """
    from ocunet_pacs.jobs.backup import back_up
    from ocunet_pacs.settings import load

    made = back_up(load(config).database.url, out, overwrite=overwrite)
    typer.echo(f"{out}: schema {made.revision}, {made.size_bytes / 2**20:.1f} MiB, whole")


@app.command()
def integrity(config: ConfigOption = None) -> None:
    """Look through the whole database and change nothing: pages, references, schema, and what must hold between rows.
    Exit status 0 when all is well, 1 when something is wrong.
    """
    from ocunet_pacs.jobs.integrity import integrity_problems
    from ocunet_pacs.jobs.read_only import open_to_read
    from ocunet_pacs.settings import load

    engine = open_to_read(load(config).database.url)
    try:
        problems = integrity_problems(engine)
    finally:
        engine.dispose()
    for problem in problems:
        typer.echo(problem)
    if problems:
        typer.echo("something is wrong with the database; docs/database-care.md says what to do", err=True)
        raise typer.Exit(1)
    typer.echo("the database is whole")
