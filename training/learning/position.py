"""Where a run stands: epochs done, steps into the next, what it has seen so far, and its best epoch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One finished epoch, counted from 1. Undefined is nan."""

    epoch: int
    step: int
    """Optimiser steps since the run began."""
    learning_rate: float
    """Of the epoch's last step."""
    training_loss: float
    """Mean over the known entries that the epoch's steps saw, augmented and with dropout."""
    validation_loss: float
    """The same loss over the validation split, of the averaged network."""
    mean_average_precision: float
    """Of the averaged network over the validation split: mean over the labels of which it is defined."""
    average_precision: dict[str, float]
    gradient_norm: float
    """Mean over the steps, before clipping."""
    skipped: int
    """Steps that float16's scaler skipped."""
    images_per_second: float
    """Through training steps, waiting included."""
    waiting: float
    """Share of that time in which the loop waited for data: near 0, the device is the limit."""
    seconds: float
    """Of the whole epoch with its validation."""


@dataclass(slots=True)
class Sums:
    """What the steps of an unfinished epoch add up to."""

    steps: int = 0
    loss: float = 0.0
    known: int = 0
    gradient_norm: float = 0.0
    skipped: int = 0
    training_s: float = 0.0
    waiting_s: float = 0.0


@dataclass(slots=True)
class Position:
    """Where a run stands. All of it can be written into a checkpoint."""

    epoch: int = 1
    """The one under way, from 1."""
    step: int = 0
    """Steps done in it. All of them: it is trained and waits for its validation."""
    best_epoch: int = 0
    """0: none yet."""
    best_map: float = math.nan
    skipped_in_a_row: int = 0
    sums: Sums = field(default_factory=Sums)
    history: list[EpochRecord] = field(default_factory=list)

    @property
    def finished(self) -> int:
        """Epochs trained and validated."""
        return self.epoch - 1

    @property
    def without_a_better(self) -> int:
        """Epochs since the best."""
        return self.finished - self.best_epoch

    def close(self, record: EpochRecord) -> bool:
        """The epoch under way is done. Whether it is the best so far: better than all before, not as good."""
        best = not self.best_epoch or record.mean_average_precision > self.best_map
        if best:
            self.best_epoch, self.best_map = record.epoch, record.mean_average_precision
        self.history.append(record)
        self.epoch, self.step, self.sums = self.epoch + 1, 0, Sums()
        return best

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """What `to_dict` gave."""
        read = dict(content)
        read["sums"] = Sums(**read["sums"])
        read["history"] = [EpochRecord(**record) for record in read["history"]]
        return cls(**read)
