"""What `check` and `split` have in common: reading with a bar, and tables of what is where."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.data.duplicates import Duplicate
    from training.data.manifest import Manifest, Row


def compared(manifest: Manifest, path: Path, workers: int | None) -> list[Duplicate]:
    """All copies among the photographs of the manifest at `path`, with a bar; says which photographs were not read."""
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from training.data.duplicates import find_duplicates
    from training.data.photo_fields import fields_path, read_fields

    count = workers if workers is not None else len(os.sched_getaffinity(0))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        fields = read_fields(manifest, workers=count, progress=show, cache=fields_path(path))
        duplicates = find_duplicates(manifest, workers=count, progress=show, fields=fields)
    lines = {row.image: n for n, row in reversed(list(enumerate(manifest.rows, 2)))}
    for one in fields.unreadable:
        typer.echo(f"line {lines[one.image]}: cannot be read, and is compared with nothing: {one.reason}")
    return duplicates


def show_duplicates(rows: Sequence[Row], duplicates: Sequence[Duplicate]) -> None:
    """How many copies there are, and each pair that no group holds together."""
    import typer

    places: dict[str, list[int]] = {}
    for n, row in enumerate(rows):
        places.setdefault(row.key, []).append(n)
    kinds: Counter[str] = Counter()
    apart = []
    for pair in duplicates:
        its = sorted({*places[pair.first], *places[pair.second]})
        kinds["the same file" if pair.exact else "copies"] += 1
        if len({rows[n].group for n in its}) > 1:
            kinds["not of one group"] += 1
            apart.append(f"  line {', '.join(str(n + 2) for n in its)}: {pair.words}")
    typer.echo(
        f"{len(rows)} photographs: {kinds['the same file']} files that are there more than once, "
        f"{kinds['copies']} pairs of copies; {kinds['not of one group']} of these not in one group"
    )
    for line in apart:
        typer.echo(line)


def show_splits(rows: Sequence[Row]) -> None:
    """Tables of photographs and groups on each side, and of what is known of each label there; then what is missing."""
    import typer
    from rich.console import Console
    from rich.table import Table

    from training.data.coverage import coverage, gaps, labels_seen, sides

    whole = Table("split", "photographs", "groups", "of all groups")
    known = Table("label", "split", "positive", "in groups", "negative", "in groups", "unknown")
    for table in (whole, known):
        for column in table.columns:
            column.justify = "left" if column.header in {"label", "split"} else "right"
    groups = len({row.group for row in rows})
    parts = sides(rows)
    for side, its in parts:
        here = len({row.group for row in its})
        whole.add_row(side or "none", str(len(its)), str(here), f"{here / groups:.1%}")
    for label in labels_seen(rows):
        for n, (side, its) in enumerate(parts):
            found = coverage(its, label)
            counts = (found.positive, found.positive_groups, found.negative, found.negative_groups, found.unknown)
            last = n == len(parts) - 1
            known.add_row("" if n else label, side or "none", *map(str, counts), end_section=last)
    console = Console()
    console.print(whole)
    console.print(known)
    for line in gaps(rows):
        typer.echo(f"attention: {line}")
