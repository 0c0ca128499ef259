"""`db upgrade` and `db check`: the database's schema."""

from __future__ import annotations

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
