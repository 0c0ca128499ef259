"""`ocunet-train train`: a network from a manifest by a recipe; alone, or in processes that torchrun starts."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from training.data.filling import Progress
    from training.data.manifest import Manifest
    from training.learning.loop import Outcome
    from training.learning.prepared import Prepared

INTERRUPTED: Final = 75
"""Exit status of a run that a signal stopped: the same command with --resume goes on (sysexits' EX_TEMPFAIL)."""

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A change to the recipe: optimisation.ema=0.9998. Repeatable."),
]


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML; see `ocunet-train recipe`.")],
    manifest: Annotated[Path, typer.Option("--manifest", metavar="CSV", help="Rows with their splits.")],
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="Prepared pictures; filled where they miss.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The run's folder: checkpoints, logs, history.")],
    changes: SetOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out; begin where there is none.")
    ] = False,
    device: Annotated[
        str, typer.Option("--device", help="auto (a GPU where there is one), cpu, cuda or cuda:N.")
    ] = "auto",
) -> None:
    """Train a network on the manifest's training rows and keep its best epoch on the validation rows.

    Several GPUs: `torchrun --nproc-per-node N -m training train ...`. Ctrl-C or SIGTERM finishes the step, writes where
    the run is and ends with status 75; asked again, it ends at once. Either way --resume goes on.
    """
    from rich.console import Console

    from training.data.manifest import read_manifest
    from training.learning.distributed import joined
    from training.learning.loop import train as run
    from training.learning.prepared import prepare
    from training.learning.progress import Silent, display_on
    from training.learning.stopping import stop_on_signals
    from training.recipe import read_recipe

    chosen, rows = read_recipe(recipe, changes or ()), read_manifest(manifest)
    console = Console(stderr=True)
    with joined(device) as (world, place):
        with _filling(console, shown=world.first) as progress:
            prepared = prepare(chosen, rows, cache, world=world, progress=progress)
        if world.first:
            _tell(prepared, rows)
        shown = display_on(console) if world.first else nullcontext(Silent())
        with shown as display, stop_on_signals() as stop:
            outcome = run(
                chosen,
                prepared.labels,
                prepared.training_feed(chosen, device=place, world=world),
                prepared.validation_feed(chosen, device=place, world=world),
                out,
                data=prepared.data,
                device=place,
                resume=resume,
                world=world,
                stop=stop,
                display=display,
            )
    if world.first:
        conclude(outcome)
    if outcome.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _filling(console: Console, *, shown: bool) -> Iterator[Progress | None]:
    """A bar over the photographs that are prepared, on the first process's terminal."""
    if not (shown and console.is_terminal):
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("preparing photographs", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(prepared: Prepared, manifest: Manifest) -> None:
    """What is learned from, and what is left out: by its line in the manifest, for a path may name a patient."""
    lines = {row.image: line for line, row in enumerate(manifest.rows, 2)}
    for left_out in prepared.unreadable:
        typer.echo(f"left out: the manifest's line {lines[left_out.image]}: {left_out.reason}", err=True)
    typer.echo(
        f"{len(prepared.training)} photographs to learn from, {len(prepared.validation)} to judge by; "
        f"{len(prepared.labels)} labels: {', '.join(prepared.labels)}",
        err=True,
    )


def conclude(outcome: Outcome) -> None:
    """Say how a run ended."""
    ended = {
        "finished": "finished",
        "early": "stopped early, for it got no better",
        "interrupted": "interrupted; the same command with --resume goes on",
    }[outcome.stopped]
    best = f": best mAP {outcome.best_map:.4f} in epoch {outcome.best_epoch}" if outcome.best_epoch else ""
    typer.echo(f"{outcome.folder}: {ended} after {outcome.epochs} epochs{best}")
