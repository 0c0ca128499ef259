"""`ocunet-train recipe`: OcuNet's recipe, commented, to start one's own from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def recipe(
    path: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE]", help="Check this recipe and show it whole.")
    ] = None,
) -> None:
    """Print a recipe with every choice commented: OcuNet's, or the one given, with what it leaves out filled in."""
    from training.recipe import read_recipe, recipe_text

    typer.echo(recipe_text(read_recipe(path)), nl=False)
