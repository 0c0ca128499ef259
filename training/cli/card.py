"""`ocunet-train card`: what a bundle is, for those who are to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of the bundle.")],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The report.json of its evaluation, for the figures.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write; without it the card is printed.")
    ] = None,
) -> None:
    """Write a bundle's model card as Markdown: what it is for, what it learned from, what it is worth."""
    from ocunet_pacs.model.manifest import read_manifest
    from training.export.card import model_card, write_card
    from training.export.evaluated import read_evaluated

    manifest = read_manifest(bundle)
    text = model_card(manifest, read_evaluated(report) if report else None)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_card(text, out, bundle)
        typer.echo(f"{out}: the card of {manifest.name}", err=True)
