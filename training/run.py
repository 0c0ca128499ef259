"""The whole way on one screen: from a manifest and a recipe to a bundle, its evaluation and its card.

A run's folder holds, in the order in which they are made: `manifest.csv` (copies grouped, every row with its split),
`cache/`, `training/` (see `learning.loop`), `bundle/` (what the daemon serves), `evaluation/` (its page), `without/`
(see `crossed`) and `card.md`. Each stage is done when what it makes is there; a run that is resumed goes on from the
first that is not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.drift import BUNDLE_REFERENCE
from ocunet_pacs.model.manifest import read_manifest as read_bundle
from training.crossed import CROSSED, cross, judges
from training.data.manifest import Split
from training.errors import RunError
from training.evaluation.evaluate import evaluate
from training.evaluation.page import FIGURES, PAGE
from training.export.card import model_card, write_card
from training.export.evaluated import read_evaluated, read_without
from training.learning.prepared import prepare
from training.stages import learn, settled, to_bundle, write_drift_reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.data.manifest import Manifest
    from training.learning.loop import Outcome
    from training.recipe import Recipe
    from training.stages import Tools


def run(
    recipe: Recipe, read: Callable[[], Manifest], out: Path, tools: Tools, *, resume: bool, draws: int = 1000
) -> Outcome:
    """All of it, into the folder `out`. An interrupted training ends the run; resumed, it goes on.

    `read` gives the photographs, and is called where a run begins.

    RunError where `out` holds a run and it is not to be resumed, and where the recipe leaves out a source that is not
    there; LeakageError where given splits overlap.
    """
    if tools.world.processes > 1:
        raise RunError("several processes train together with `ocunet-train train`; split before, export after it")
    rows = settled(recipe, read, out, tools, resume=resume)
    judges(recipe, rows)  # a mistake is told before hours of training
    prepared = prepare(recipe, rows, out / "cache", world=tools.world)
    for left_out in prepared.unreadable:
        tools.display.say(f"left out: {left_out.reason}")
    outcome = learn(recipe, prepared, out / "training", tools, resume=resume)
    if outcome.stopped == "interrupted":
        return outcome
    bundle, page = out / "bundle", out / "evaluation"
    if not bundle.exists():
        tools.display.say("calibrating on the validation split, and proving the bundle")
        to_bundle(recipe, rows, prepared, out / "training", bundle, tools)
    if recipe.export.drift and not (bundle / BUNDLE_REFERENCE).exists():
        tools.display.say("measuring what the validation photographs look like, for the drift watch")
        write_drift_reference(bundle, rows, prepared, tools)
    if rows.of(Split.TEST) and not (page / PAGE).exists():
        tools.display.say("judging the bundle by the test split, as the daemon would")
        evaluate(bundle, rows, page, now=tools.now(), workers=tools.workers, draws=draws)
    if recipe.evaluation.without:
        # The card first: whoever has no time for more networks has a whole bundle.
        _write_card(out)
        if cross(recipe, rows, out, tools, resume=resume, draws=draws) is None:
            return replace(outcome, stopped="interrupted")
    _write_card(out)
    return outcome


def _write_card(out: Path) -> None:
    """Of what there is so far of a run."""
    report, without = out / "evaluation" / FIGURES, out / CROSSED
    evaluated = read_evaluated(report) if report.exists() else None
    others = read_without(without) if without.exists() else ()
    write_card(model_card(read_bundle(out / "bundle"), evaluated, others), out / "card.md", out / "bundle")
