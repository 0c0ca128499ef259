"""What was tried, a line a run: how its recipe differs, and what its best epoch is worth on the validation split.

The figures choose between recipes and say nothing of how good the chosen one is: for that there is the test split,
which nothing here looks at.
"""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass, replace
from io import StringIO
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from training.calibration.fit import calibrate
from training.data.whole import write_whole
from training.errors import RunError
from training.learning.checkpoints import BEST, read_checkpoint
from training.learning.folder import RECIPE
from training.learning.identity import flat
from training.learning.position import Position
from training.learning.prepared import prepare
from training.metrics.calibration import expected_calibration_error
from training.metrics.figures import auroc
from training.recipe import Recipe, read_recipe
from training.stages import said_of_validation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.data.manifest import Manifest
    from training.metrics.judged import Judged
    from training.recipe import Calibration
    from training.stages import Tools

_AUROC: Final = "AUROC "
_HALVES: Final = 2


@dataclass(frozen=True, slots=True)
class Tried:
    """One run. What is undefined is nan.

    `differs` is what its recipe says otherwise than OcuNet's, name and notes aside. `epochs` are those trained so far,
    `seconds` what one took (the median). `mean_auroc` and `auroc` are of the best epoch's averaged weights; `mirrored`
    is the mean where the logits are those of a picture and its mirror image, averaged. `calibration_error` is the mean
    over labels, with temperatures that were fitted on the other half of the patients.
    """

    run: str
    differs: str
    photographs: int
    epochs: int
    best_epoch: int
    seconds: float
    mean_average_precision: float
    mean_auroc: float
    mirrored: float
    calibration_error: float
    auroc: Mapping[str, float]

    def cells(self) -> dict[str, str]:
        """As a line of the table: four digits, "" for what is undefined."""
        plain = {name: _text(value) for name, value in asdict(self).items() if name != "auroc"}
        return plain | {f"{_AUROC}{label}": _text(value) for label, value in self.auroc.items()}


def tried(run: Path, manifest: Manifest, cache: Path, tools: Tools) -> Tried:
    """Of the folder of a training (or of the whole run around it), by the manifest that it was trained with.

    Pictures that are missing in the cache are prepared. RunError where no epoch is finished.
    """
    folder = run if (run / RECIPE).exists() else run / "training"
    recipe = read_recipe(folder / RECIPE)
    prepared = prepare(recipe, manifest, cache, world=tools.world)
    if not (folder / BEST).exists():
        raise RunError(f"{folder}: no epoch of it is finished")
    best = read_checkpoint(folder / BEST)
    position = Position.from_dict(best["position"])
    if tuple(best["identity"]["labels"]) != prepared.labels or best["identity"]["data"] != prepared.data:
        raise RunError(f"{folder}: was trained with other photographs or labels than this manifest's")
    said = said_of_validation(recipe, prepared, best["averaged"], tools)
    mirrored = said_of_validation(recipe, prepared, best["averaged"], tools, mirrored=True)
    own = _aurocs(said, said.logits)
    return Tried(
        run=run.name,
        differs=_differs(recipe),
        photographs=len(prepared.training),
        epochs=len(position.history),
        best_epoch=position.best_epoch,
        seconds=median(record.seconds for record in position.history),
        mean_average_precision=position.best_map,
        mean_auroc=_mean(own),
        mirrored=_mean(_aurocs(said, (said.logits + mirrored.logits) / 2)),
        calibration_error=calibration_error_apart(said, recipe.calibration),
        auroc=dict(zip(said.labels, own.tolist(), strict=True)),
    )


def calibration_error_apart(judged: Judged, calibration: Calibration) -> float:
    """The mean over labels of the error that is left when temperatures are fitted on the other half of the groups.

    nan where there are not two groups.
    """
    groups = sorted(set(judged.groups))
    half = {group: number % _HALVES for number, group in enumerate(groups)}
    of = np.array([half[group] for group in judged.groups], np.int64)
    probabilities = np.full(judged.logits.shape, np.nan)
    for one in range(_HALVES):
        here, there = of == one, of != one
        if here.any() and there.any():
            probabilities[here] = calibrate(judged.select(there), calibration).apply(judged.logits[here])
    errors = [
        expected_calibration_error(probabilities[known, column], judged.targets[known, column])
        for column, known in enumerate((judged.known & ~np.isnan(probabilities)).T)
        if known.any()
    ]
    return _mean(np.array(errors))


def write_tried(path: Path, found: Sequence[Tried]) -> list[dict[str, str]]:
    """Put the runs into the csv file, each in the place of what it said of a run of that name; all of its lines.

    Runs that are gone keep their lines. RunError where the file is another table, or cannot be written.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
        if any("run" not in row for row in rows):
            raise RunError(f"{path}: is no table of runs")
        lines = {row["run"]: row for row in rows} | {one.run: one.cells() for one in found}
        columns = list(dict.fromkeys(name for row in lines.values() for name in row))
        text = StringIO(newline="")
        table = csv.DictWriter(text, columns, restval="")
        table.writeheader()
        table.writerows(lines.values())
        write_whole(path, lambda file: file.write(text.getvalue().encode()))
    except OSError as error:
        raise RunError(f"{path}: cannot be read or written: {error.strerror}") from None
    return list(lines.values())


def _aurocs(judged: Judged, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(labels,)."""
    return auroc(replace(judged, logits=logits))(np.ones((len(judged), 1)))[:, 0]


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def _differs(recipe: Recipe) -> str:
    usual, own = (flat(one.model_dump(mode="json", exclude={"name", "notes"})) for one in (Recipe(), recipe))
    return "; ".join(f"{key[:-1]}={value}" for key, value in own.items() if usual.get(key) != value)


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)
