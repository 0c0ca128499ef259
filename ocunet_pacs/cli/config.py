"""`config init` and `config check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ocunet_pacs.cli.options import ConfigOption

app = typer.Typer(no_args_is_help=True)


@app.command()
def init(
    path: Annotated[
        Path | None, typer.Argument(help="File to write; without it the sample goes to standard output.")
    ] = None,
) -> None:
    """Write a commented sample of every setting. An existing file is never overwritten."""
    from ocunet_pacs.domain.errors import ConfigError
    from ocunet_pacs.settings import sample

    if path is None:
        typer.echo(sample(), nl=False)
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(sample())
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None
    typer.echo(f"wrote {path}")


@app.command()
def check(config: ConfigOption = None) -> None:
    """Read the settings as the daemon would and report every mistake at once."""
    from ocunet_pacs.settings import load

    load(config)
    typer.echo("settings are valid")
