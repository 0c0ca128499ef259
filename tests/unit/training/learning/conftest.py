"""A small run on pictures that are drawn in memory: 64 pixels, three labels, a second an epoch at most."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.data.manifest import Row, targets
from training.learning.distributed import ALONE, World
from training.learning.identity import data_digest
from training.learning.loop import Outcome, train
from training.recipe import Recipe, recipe_of

LABELS = ("DR", "MH", "NORMAL")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Micro:
    images: torch.Tensor
    targets: torch.Tensor
    known: torch.Tensor


def rows(count: int, start: int = 0) -> list[Row]:
    """A third of the labels unknown, the others in turn positive and negative."""
    made = []
    for number in range(start, start + count):
        state = [(number + 2 * n) % 3 if (number + n) % 7 else 2 for n in range(len(LABELS))]
        names = {s: frozenset(label for label, t in zip(LABELS, state, strict=True) if t == s) for s in range(3)}
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        made.append(Row(f"{number}.png", digest, str(number), names[1], names[0], "drawn"))
    return made


def picture(row: Row) -> torch.Tensor:
    """Noise, with a bright patch for each positive label."""
    generator = torch.Generator().manual_seed(int(row.digest[:8], 16))
    drawn = 0.5 * torch.randn(3, 64, 64, generator=generator)
    for n, label in enumerate(LABELS):
        if label in row.positive:
            drawn[n, 16 * n : 16 * n + 24, 20:44] += 2.0
    return drawn


@dataclass
class Training:
    """What `TrainingBatches` promises, over pictures in memory."""

    recipe: Recipe
    rows: list[Row]
    world: World = ALONE
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pictures = torch.stack([picture(row) for row in self.rows])
        self.targets, self.known = targets(self.rows, LABELS)
        self.size = self.recipe.optimisation.batch_size

    @property
    def steps_per_epoch(self) -> int:
        return len(self.rows) // self.size

    def _order(self, epoch: int, step: int) -> torch.Tensor:
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self.rows))
        return torch.from_numpy(order[step * self.size : (step + 1) * self.size])

    def known_in_step(self, epoch: int, step: int) -> int:
        return int(self.known[self._order(epoch, step)].sum())

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[Micro]]:
        self.asked.append((epoch, first_step))
        accumulation = self.recipe.optimisation.accumulation
        for step in range(first_step, self.steps_per_epoch):
            parts = self._order(epoch, step).chunk(accumulation * self.world.processes)
            yield [self._micro(parts[a * self.world.processes + self.world.rank]) for a in range(accumulation)]

    def _micro(self, indices: torch.Tensor) -> Micro:
        values, known = torch.from_numpy(self.targets), torch.from_numpy(self.known)
        return Micro(self.pictures[indices], values[indices], known[indices])


class Validation:
    """What `PlainBatches` promises, over pictures in memory."""

    def __init__(self, chosen: list[Row]) -> None:
        self.rows = chosen
        self._all = Training(recipe(), chosen)
        self.targets, self.known = self._all.targets, self._all.known

    def __iter__(self) -> Iterator[Micro]:
        for indices in torch.arange(len(self.rows)).split(8):
            yield self._all._micro(indices)


def recipe(**sections: Any) -> Recipe:
    """OcuNet's recipe in small; keys of `optimisation` may be given by themselves."""
    plain = {
        "epochs": 3,
        "batch_size": 8,
        "warmup_epochs": 1.0,
        "learning_rate": 1e-3,
        "ema": 0.9,
        "checkpoint_steps": 2,
    }
    keys = type(Recipe().optimisation).model_fields
    given = {name: sections.pop(name) for name in list(sections) if name in keys}
    return recipe_of(
        {
            "network": {"architecture": "mobilenetv3_small_050", "start": "nothing"},
            "preprocess": {"image_size": 64},
            "optimisation": plain | given,
        }
        | sections,
        "test",
    )


def run(folder: Path, chosen: Recipe | None = None, **changed: Any) -> Outcome:
    """Train on 34 photographs (four steps of 8), judge on 16."""
    chosen = chosen or recipe()
    training = changed.pop("training", None) or Training(chosen, rows(34))
    validation = changed.pop("validation", None) or Validation(rows(16, start=100))
    data = data_digest(training.rows, validation.rows)
    return train(chosen, LABELS, training, validation, folder, data=data, device=CPU, **changed)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A run of three epochs that nothing disturbed. Do not write there."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, run(folder)
