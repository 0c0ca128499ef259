"""What the loop takes its photographs from: `training.data.batches` has both, and a test may have its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


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
    def targets(self) -> NDArray[np.float32]:
        """Of all photographs that are learned from, (rows, labels) in {0, 1}."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where their labels are known, (rows, labels)."""

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
    def targets(self) -> NDArray[np.float32]:
        """Of all photographs that are judged, (rows, labels) in {0, 1}."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where their labels are known, (rows, labels)."""

    def __iter__(self) -> Iterator[Photographs]:
        """Every row once, in order."""
