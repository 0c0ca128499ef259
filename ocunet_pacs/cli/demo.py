"""`demo`: see it work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    photographs: Annotated[
        list[Path] | None, typer.Argument(metavar="[PHOTO]...", help="Your own photographs; drawn ones without.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Model bundle; without: the research bundle, or UNTRAINED weights."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it writes.")] = Path("demo-out"),
) -> None:
    """Run the whole product here: daemon, camera, PACS; print the report and write DICOM, HTML and PNG."""
    from rich.console import Console

    from ocunet_pacs import logs
    from ocunet_pacs.app.demo import run_demo

    logs.configure("error")
    console = Console(stderr=True)
    with console.status("starting") as status:

        def say(what: str) -> None:
            console.print(f"[green]•[/green] {what}", highlight=False)
            status.update(what)

        result = run_demo(photographs or [], bundle, out, say)
    typer.echo(result.text)
    typer.echo("\nWritten:")
    for path in result.files:
        typer.echo(f"  {path}")
