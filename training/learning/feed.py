"""What the loop takes its photographs from: `training.data.batches` has both, and a test may have its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from training.data.manifest import Row


class Photographs(Protocol):
    """One micro-batch, on the training device."""

    @property
    def images(self) -> Tensor:
        """Normalised, float32 (n, 3, side, side)."""

    @property
    def targets(self) -> Tensor:
        """Float32 (n, labels) in {0, 1}; means nothing where a label is unknown."""

    @property
    def known(self) -> Tensor:
        """Where a label is known, bool (n, labels)."""


class TrainingFeed(Protocol):
    """The steps of each epoch, the same whenever they are asked for."""

    @property
    def rows(self) -> Sequence[Row]:
        """What is learned from, in order."""

    @property
    def steps_per_epoch(self) -> int:
        """At least 1."""

    def known_in_step(self, epoch: int, step: int) -> int:
        """Known entries of the step's whole batch, over all processes."""

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Sequence[Photographs]]:
        """For each step from `first_step`, this process's micro-batches."""


class ValidationFeed(Protocol):
    """The validation split, as it is."""

    @property
    def rows(self) -> Sequence[Row]:
        """What is judged, in order."""

    def __iter__(self) -> Iterator[Photographs]:
        """Every row once, in order."""
