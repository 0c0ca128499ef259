"""`python -m release`: what makes a release, a command each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release import building

CHECKOUT = Path(__file__).resolve().parents[1]
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Make and check what goes with a release."""


@app.command()
def build(out: Annotated[Path, typer.Option(help="An empty folder, or one to be made.")]) -> None:
    """Build wheel and source archive of the checkout's commit, the same bytes each time, with their digests."""
    try:
        files = building.build(CHECKOUT, out)
    except building.NotBuilt as error:
        typer.echo(f"not built: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(building.write_digests(out, files).read_text("utf-8"), nl=False)


if __name__ == "__main__":
    app()
