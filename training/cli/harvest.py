"""`ocunet-train harvest`: the daemon's store and the doctors' verdicts to a de-identified corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.harvest.store import Harvest


def harvest(
    store: Annotated[Path, typer.Argument(help="The daemon's store (store.path); nothing in it is changed.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the corpus goes: images, manifest.csv.")],
    verdicts: Annotated[
        list[Path] | None, typer.Option("--verdicts", metavar="CSV", help="Doctors' verdicts as csv; repeatable.")
    ] = None,
    verified: Annotated[
        list[Path] | None,
        typer.Option("--verified", metavar="DIR", help="Folder of verified structured reports; repeatable."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Secret of the pseudonyms; without it the store's own patient.key."),
    ] = None,
) -> None:
    """Make a corpus of the photographs that doctors judged: by csv, or by verified reports that answer ours.

    The copies are de-identified by the basic profile with their pixels kept. What nobody said of a photograph stays
    unknown. Run it again after more verdicts: the same photographs keep their names.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from training.harvest.store import harvest as run
    from training.harvest.verdict_files import read_verdicts

    said = [verdict for path in verdicts or [] for verdict in read_verdicts(path)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("photographs", total=None)
        found = run(
            store,
            said,
            verified or [],
            out,
            key=key,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _tell(found, out)


def _tell(found: Harvest, out: Path) -> None:
    manifest = found.manifest
    groups = len({row.group for row in manifest.rows})
    typer.echo(
        f"{out}: {len(manifest.rows)} photographs of {groups} patients, out of {found.photographs} in the store; "
        f"{found.without_verdict} without a verdict, {found.answers} verified reports that answer ours"
    )
    for label, count in sorted(found.contradicted.items()):
        typer.echo(f"  {label}: unknown in {count} photographs, because verdicts contradict each other")
    for origin in found.unmatched:
        typer.echo(f"  {origin}: its photograph is not in the store")
    if manifest.unreadable:
        typer.echo(f"  {len(manifest.unreadable)} photographs could not be used: see manifest.unreadable.csv")
    if found.unreadable_documents:
        typer.echo(f"  {found.unreadable_documents} files could not be read as DICOM")
