"""A run small enough for tests, as files on a disk, and the command that trains it in a process of its own."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import PROJECT
from training.data.manifest import Manifest, Row, Split, write_manifest
from training.learning.checkpoints import LAST, read_checkpoint

LABELS = ("DR", "MH", "NORMAL")
STEPS = 6
"""In an epoch."""
TIMINGS = ("images_per_second", "waiting", "seconds")

OPTIMISATION = {
    "epochs": 3,
    "batch_size": 8,
    "warmup_epochs": 1,
    "learning_rate": 1e-3,
    "ema": 0.9,
    "checkpoint_steps": 2,
}

KILLED = """
import os, signal, sys
from training.cli.main import run
from training.learning.learner import Learner

left, move = int(sys.argv.pop(1)), Learner.move

def moving(learner, rate):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return move(learner, rate)

Learner.move = moving
run()
"""
"""`ocunet-train` that is killed in the optimiser step after as many as its first argument says."""


@dataclass(frozen=True)
class SmallRun:
    """A manifest of 48 training and 24 validation photographs, in a folder with everything else."""

    folder: Path

    def command(self, name: str, *arguments: str, workers: int = 1, **optimisation: Any) -> list[str]:
        """Arguments of `ocunet-train` that train into the folder `name`."""
        recipe = self.folder / f"{name}.yaml"
        recipe.write_text(
            yaml.safe_dump(
                {
                    "data": {"labels": list(LABELS), "workers": workers},
                    "network": {"architecture": "mobilenetv3_small_050", "start": "nothing"},
                    "preprocess": {"image_size": 64},
                    "optimisation": OPTIMISATION | optimisation,
                }
            )
        )
        files = {"--manifest": "manifest.csv", "--cache": "cache", "--out": name}
        options = [part for option, file in files.items() for part in (option, str(self.folder / file))]
        return ["train", str(recipe), *options, "--device", "cpu", *arguments]

    def start(self, *program: str) -> subprocess.Popen[str]:
        """Python with these arguments; one thread, so that sums are added in one order."""
        environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, *program],
            cwd=PROJECT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def history(self, name: str) -> list[dict[str, str]]:
        """Of the csv file, without what a clock has measured."""
        with (self.folder / name / "history.csv").open() as file:
            return [{k: v for k, v in line.items() if k not in TIMINGS} for line in csv.DictReader(file)]

    def steps(self, name: str, measured: str) -> list[tuple[int, float]]:
        """Each step's number and value, as the journal keeps them for TensorBoard."""
        events = EventAccumulator(str(self.folder / name / "tensorboard"))
        events.Reload()
        return [(step.step, step.value) for step in events.Scalars(f"step/{measured}")]

    def checkpoint(self, name: str, file: str = LAST) -> dict[str, Any]:
        """As it is read."""
        return read_checkpoint(self.folder / name / file)

    def numbers(self, name: str, file: str = LAST) -> dict[str, torch.Tensor]:
        """Everything in a checkpoint that the run goes on from, by name."""
        read = self.checkpoint(name, file)
        found = {f"{part}.{key}": value for part in ("network", "averaged") for key, value in read[part].items()}
        for number, state in read["optimiser"]["state"].items():
            found |= {f"optimiser.{number}.{key}": value for key, value in state.items()}
        return found


def make(folder: Path) -> SmallRun:
    """Draw the photographs: a red disc on black, with a mark for each positive label. Some labels are unknown."""
    rows = []
    for number in range(72):
        state = [(number // 3**n) % 3 for n in range(len(LABELS))]
        names = {s: frozenset(label for label, t in zip(LABELS, state, strict=True) if t == s) for s in range(3)}
        path = folder / f"{number}.png"
        Image.fromarray(_drawn(number, state)).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        split = Split.TRAIN if number % 3 else Split.VALIDATION
        rows.append(Row(path.name, digest, str(number), names[1], names[0], "drawn", split=split))
    write_manifest(Manifest(tuple(rows), folder), folder / "manifest.csv")
    return SmallRun(folder)


def _drawn(number: int, state: list[int]) -> np.ndarray:
    y, x = np.mgrid[:96, :120]
    drawn = np.random.default_rng(number).integers(0, 30, (96, 120, 3)).astype(np.int64)
    drawn[(x - 60) ** 2 + (y - 48) ** 2 < 44**2] += (150, 60, 20)
    for n, told in enumerate(state):
        if told == 1:
            drawn[30 + 14 * n : 40 + 14 * n, 40:80] += np.eye(3, dtype=np.int64)[n] * 100
    return drawn.clip(0, 255).astype(np.uint8)
