"""`ocunet-train promote`: a candidate in the active bundle's place, if it passes the site's rule; and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from training.evaluation.opinion import Opinion
    from training.evaluation.promotion import Weighed

ACTIVE: Final = Path("/var/lib/ocunet-pacs/bundles/active")
"""Where the daemon's default settings look for its bundle."""
_TAKES_EFFECT: Final = "Workers take it when they start again: systemctl restart ocunet-pacs"


def promote(
    candidate: Annotated[Path | None, typer.Argument(metavar="[CANDIDATE]", help="The folder of the bundle.")] = None,
    active: Annotated[Path, typer.Option(metavar="LINK", help="The link that the daemon's model.bundle is.")] = ACTIVE,
    rule: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The site's rule; config/training/promotion.yaml by default.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="MANIFEST", help="The photographs that both are judged by.")
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="Which of its rows.")] = "test",
    training_manifest: Annotated[
        Path | None,
        typer.Option(metavar="MANIFEST", help="What the candidate was trained on, where that is another manifest."),
    ] = None,
    candidate_evaluation: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What `evaluate` wrote of the candidate, instead of asking it.")
    ] = None,
    active_evaluation: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What it wrote of the active bundle, instead of asking that.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write decision and comparison there as JSON.")
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="No bundle is active yet.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and leave the link where it is.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the bundle that was active before this one.")
    ] = False,
    show_rule: Annotated[bool, typer.Option("--show-rule", help="Print the rule, commented, and do nothing.")] = False,
    operating_point: Annotated[str, typer.Option(metavar="NAME", help="Which of the bundles' thresholds.")] = "default",
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that decode; one a processor by default, 0: none.")
    ] = None,
) -> None:
    """Let a candidate take the active bundle's place, if it passes the site's rule on photographs that it never saw.

    The link moves in one step, and LINK.promotions.jsonl says who moved it, when and on what figures. Bundles are never
    changed or deleted. Exit status 1: the rule is not passed, and nothing was changed.
    """
    from training.data.manifest import read_manifest
    from training.errors import PromotionError
    from training.evaluation.rule import read_rule, rule_text

    asked = read_rule(rule)
    if show_rule:
        typer.echo(rule_text(asked), nl=False)
        return
    if rollback:
        _roll_back(active)
        return
    if candidate is None:
        raise PromotionError("name the folder of the candidate")
    photographs = read_manifest(manifest) if manifest else None
    written = {candidate.resolve(): candidate_evaluation, active.resolve(): active_evaluation}

    def say(folder: Path) -> Opinion:
        from training.cli.asking import ask_with_bar
        from training.evaluation.opinion import read_opinion

        if evaluation := written.get(folder.resolve()):
            return read_opinion(evaluation)
        if photographs is None:
            raise PromotionError(f"{folder}: name the photographs to judge it by (--manifest), or its evaluation")
        return ask_with_bar(folder, photographs, split, workers=workers, device=device, operating_point=operating_point)

    from training.evaluation.promotion import weigh

    training = read_manifest(training_manifest) if training_manifest else None
    weighed = weigh(candidate, active, asked, say, manifest=photographs, training=training, first=first)
    _show(weighed)
    if out:
        from training.cli.asking import write_json

        write_json(out, weighed.to_json())
    if not weighed.decision.passed:
        typer.echo(f"not promoted: {weighed.candidate.name}")
        raise typer.Exit(1)
    if dry_run:
        typer.echo(f"would be promoted: {weighed.candidate.name}")
        return
    _move(candidate, active, weighed)


def _move(candidate: Path, link: Path, weighed: Weighed) -> None:
    from datetime import UTC, datetime

    from training.evaluation.active import promote as move

    now = datetime.now(UTC)
    change = move(link, candidate, expected=weighed.active, at=now, by=_user(), decision=weighed.record())
    before = f", before: {change.before.name}" if change.before else ""
    typer.echo(f"promoted: {change.after.name}{before}. {_TAKES_EFFECT}")


def _roll_back(link: Path) -> None:
    from datetime import UTC, datetime

    from training.evaluation.active import roll_back

    change = roll_back(link, at=datetime.now(UTC), by=_user())
    typer.echo(f"active again: {change.after.name}. {_TAKES_EFFECT}")


def _user() -> str:
    """Who asked for it, also through sudo; the number where the user has no name."""
    import os
    from getpass import getuser

    try:
        return os.environ.get("SUDO_USER") or getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _show(weighed: Weighed) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from training.cli.asking import show_remarks
    from training.evaluation.comparison_table import means_table
    from training.evaluation.gate import number

    show_remarks(weighed.remarks)
    console = Console()
    if weighed.comparison:
        console.print(means_table(weighed.comparison))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "condition", "figure", "asked for", ""):
        table.add_column(column, justify="right" if column in {"figure", "asked for"} else "left")
    for one in weighed.decision.conditions:
        passed = "[green]yes[/]" if one.passed else "[bold red]NO[/]"
        figure, limit = ("" if value is None else number(value) for value in (one.figure, one.limit))
        table.add_row(passed, one.name, figure, limit, one.note)
    console.print(table)
    if weighed.decision.not_asked:
        console.print(f"not asked: {', '.join(weighed.decision.not_asked)}", highlight=False)
