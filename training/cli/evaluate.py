"""`ocunet-train evaluate`: what a bundle is worth on photographs that it has not seen."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from training.evaluation.summary import Estimate, Summary


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of the bundle.")],
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="The csv file of the photographs.")],
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="train, validation, test, or all for every row.")
    ] = "test",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; BUNDLE-evaluation by default.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda:N.")] = "auto",
    operating_point: Annotated[str, typer.Option(metavar="NAME", help="Which of the bundle's thresholds.")] = "default",
    pictures: Annotated[
        bool,
        typer.Option("--pictures/--no-pictures", help="Show the worst mistakes; they are photographs of patients."),
    ] = True,
    mistakes: Annotated[int, typer.Option(min=0, help="Of each label and kind.")] = 3,
    draws: Annotated[int, typer.Option(min=1, help="Resamplings of the groups, for intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamplings.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that decode; one a processor by default, 0: none.")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Evaluate a bundle that is marked as untrained.")
    ] = False,
) -> None:
    """Judge a bundle by a manifest's rows, as the daemon would score them, and write a page with all figures."""
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from training.data.manifest import read_manifest
    from training.evaluation.evaluate import evaluate as run
    from training.evaluation.evaluate import rows_of
    from training.evaluation.page import PAGE
    from training.evaluation.predict import merge_copies

    read = read_manifest(manifest)
    folder = out or bundle.parent / f"{bundle.resolve().name}-evaluation"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("photographs", total=len(merge_copies(rows_of(read, split))))
        summary = run(
            bundle,
            read,
            folder,
            now=datetime.now(UTC),
            workers=(os.cpu_count() or 1) if workers is None else workers,
            split=split,
            device=device,
            allow_untrained=untrained,
            operating_point=operating_point,
            draws=draws,
            seed=seed,
            most_mistakes=mistakes,
            with_pictures=pictures,
            progress=lambda more: bars.advance(task, more),
        )
    _show(Console(), summary)
    typer.echo(folder / PAGE)


def _show(console: Console, summary: Summary) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    for remark in summary.remarks:
        if remark.weight != "note":
            console.print(remark.text, style="bold red" if remark.weight == "void" else "yellow", highlight=False)
    title = f"{summary.bundle['name']}: {summary.data['scored']} scored, {summary.data['refused']} refused"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("label", no_wrap=True)
    for name in ("pos.", "neg.", "AP", "", "AUROC", "F1", "sens.", "spec."):
        table.add_column(name, justify="right", no_wrap=True)
    for one in summary.labels:
        if one.known:
            table.add_row(one.label, str(one.positives), str(one.negatives), *_figures(one.figures))
    table.add_section()
    table.add_row("mean", "", "", *_figures(summary.means))
    console.print(table)


def _figures(figures: dict[str, Estimate]) -> list[str]:
    """Average precision with its interval, then the others; a dash for what is undefined."""
    first, *others = (figures[name] for name in ("average_precision", "auroc", "f1", "sensitivity", "specificity"))
    interval = f"{_said(first.low)} to {_said(first.high)}" if _said(first.low) != "-" else ""
    return [_said(first.value), interval, *(_said(one.value) for one in others)]


def _said(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
