"""The entry point `ocunet-train`: the command tree, and how an error ends it.

Exit status: 0 done; 1 the command ran and the answer is no (a candidate is not promoted); 2 it cannot run as asked,
with one line that says what to do.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from training.cli import card, check, compare, evaluate, export, harvest, manifest, promote, recipe, split, train, tried
from training.cli import run as whole

_EXTRA: Final = frozenset({"matplotlib", "sklearn", "tensorboard"})

app = typer.Typer(
    name="ocunet-train",
    help="From photographs, or a PACS, to a better bundle: manifests, training, evaluation, comparison, promotion.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("card")(card.card)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("harvest")(harvest.harvest)
app.command("manifest")(manifest.manifest)
app.command("promote")(promote.promote)
app.command("recipe")(recipe.recipe)
app.command("run")(whole.run)
app.command("split")(split.split)
app.command("train")(train.train)
app.command("tried")(tried.tried)


def _version(wanted: bool) -> None:
    if wanted:
        from ocunet_pacs import __version__

        typer.echo(f"ocunet-train {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From photographs, or a PACS, to a better bundle: manifests, training, evaluation, comparison, promotion."""


def run() -> None:
    """Run the command line; never a traceback for an error that was raised on purpose."""
    from ocunet_pacs.domain.errors import OcunetError

    try:
        app()
    except OcunetError as error:
        sys.stderr.write(f"ocunet-train: {error}\n")
        sys.exit(2)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(f"ocunet-train: {error.name} is missing: pip install 'ocunet-pacs[train]'\n")
        sys.exit(2)
