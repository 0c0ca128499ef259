"""What a bundle is worth where it never learned: for a source, another network that saw none of its photographs.

A data set may be recognised instead of a disease. So the recipe is run once more without one source's photographs in
training and validation, and both networks are judged by that source's test photographs: how far the second falls behind
is what the first owes to knowing the source. `without/SOURCE/` in the run's folder holds the second one's training and
bundle; the cache is the run's own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from training.data.manifest import Split
from training.data.whole import write_whole
from training.errors import RunError
from training.evaluation.compare import plain
from training.evaluation.predict import judge
from training.export.evaluated import Figure, Without, WithoutLabel, read_without
from training.learning.prepared import prepare
from training.metrics.bootstrap import intervals, paired
from training.metrics.figures import auroc
from training.stages import learn, to_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.data.manifest import Manifest, Row
    from training.metrics.bootstrap import Interval
    from training.metrics.judged import Judged
    from training.recipe import Recipe
    from training.stages import Tools

CROSSED: Final = "without.json"
"""Beside the run's other results: a list of `Without`."""
_FOLDER: Final = "without"


def judges(recipe: Recipe, manifest: Manifest) -> dict[str, list[Row]]:
    """The test rows of each source that the recipe leaves out once. RunError where one has none."""
    tests = {
        source: [row for row in manifest.of(Split.TEST) if row.source == source] for source in recipe.evaluation.without
    }
    if none := [source for source, rows in tests.items() if not rows]:
        known = ", ".join(sorted({row.source for row in manifest.rows}))
        raise RunError(
            f"evaluation.without: the test split has no photographs of a source {none[0]!r} (sources are: {known})"
        )
    return tests


def cross(
    recipe: Recipe, manifest: Manifest, run: Path, tools: Tools, *, resume: bool, draws: int
) -> Sequence[Without] | None:
    """Every source that the recipe names, written to CROSSED in the run's folder; None where a training is interrupted.

    `manifest` has its splits, and the run's bundle is there. RunError as for `judges`, or where nothing is left without
    a source.
    """
    path, tests = run / CROSSED, judges(recipe, manifest)
    if path.exists():
        kept = read_without(path)
        if [one.source for one in kept] == list(tests):
            return kept
    found = []
    for source, rows in tests.items():
        bundle = _bundle_without(source, recipe, manifest, run, tools, resume=resume)
        if bundle is None:
            return None
        tools.display.say(f"judging both by {len(rows)} test photographs of {source}")
        within, without = (judge(one, manifest, rows, workers=tools.workers).judged for one in (run / "bundle", bundle))
        found.append(_compared(source, within, without, draws=draws, seed=recipe.seed))
    content = json.dumps(plain([asdict(one) for one in found]), indent=2, allow_nan=False).encode("ascii") + b"\n"
    write_whole(path, lambda file: file.write(content))
    return found


def _bundle_without(
    source: str, recipe: Recipe, manifest: Manifest, run: Path, tools: Tools, *, resume: bool
) -> Path | None:
    """The bundle of a network that never saw a photograph of the source; None where its training is interrupted."""
    folder = run / _FOLDER / source
    bundle = folder / "bundle"
    if bundle.exists():
        return bundle
    tools.display.say(f"training without {source}")
    rest = _without(manifest, source)
    prepared = prepare(recipe, rest, run / "cache", world=tools.world)
    if learn(recipe, prepared, folder / "training", tools, resume=resume).stopped == "interrupted":
        return None
    slim = recipe.model_copy(update={"export": recipe.export.model_copy(update={"prepare": False})})
    to_bundle(slim, rest, prepared, folder / "training", bundle, tools)
    return bundle


def _without(manifest: Manifest, source: str) -> Manifest:
    """The manifest less what would be learned from of the source, and less all of the patients that it shares."""
    theirs = {row.group for row in manifest.rows if row.source == source}
    rows = tuple(row for row in manifest.rows if row.split is Split.TEST or row.group not in theirs)
    return replace(manifest, rows=rows)


def _compared(source: str, within: Judged, without: Judged, *, draws: int, seed: int) -> Without:
    labels = [label for label in within.labels if label in without.labels]
    first, second = without.select_labels(labels), within.select_labels(labels)
    theirs, ours = (intervals(one, auroc, draws=draws, seed=seed).labels for one in (first, second))
    leads = paired(first, second, auroc, draws=draws, seed=seed).labels
    made = []
    for column, label in enumerate(labels):
        known = second.known[:, column]
        positives = int((second.targets[known, column] > 0.5).sum())
        negatives = int(known.sum()) - positives
        if positives and negatives:
            figures = (_figure(one) for one in (ours[label], theirs[label], leads[label]))
            made.append(WithoutLabel(label, positives, negatives, *figures))
    return Without(source, len(second), len(set(second.groups)), tuple(made))


def _figure(interval: Interval) -> Figure:
    return Figure(interval.value, interval.low, interval.high)
