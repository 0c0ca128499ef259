"""What a run leaves behind for people: `history.csv`, and TensorBoard's events."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

from training.learning.checkpoints import write_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from training.learning.position import EpochRecord

HISTORY: Final = "history.csv"
EVENTS: Final = "tensorboard"


class Journal:
    """Of one run's folder. A resumed run has each epoch and each step once, as if it had never stopped.

    The csv file is written anew from the checkpoint's history after each epoch. TensorBoard's events cannot be written
    anew: those of a killed run that lie after the checkpoint are purged by the mark that TensorBoard has for restarts.
    """

    def __init__(self, folder: Path, labels: Sequence[str], history: Sequence[EpochRecord], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 -- seconds to import, and one process needs it

        self._path = folder / HISTORY
        self._labels = tuple(labels)
        self._write(history)
        self._events: Any = SummaryWriter(str(folder / EVENTS), purge_step=step + 1)

    def step(self, step: int, *, loss: float, learning_rate: float, gradient_norm: float) -> None:
        """An optimiser step is done; `step` counts from 1 since the run began."""
        self._events.add_scalar("step/loss", loss, step)
        self._events.add_scalar("step/learning_rate", learning_rate, step)
        self._events.add_scalar("step/gradient_norm", gradient_norm, step)

    def epoch(self, history: Sequence[EpochRecord]) -> None:
        """An epoch is done: the last of `history`."""
        record = history[-1]
        for name, value in _numbers(record).items():
            if name not in {"epoch", "step"}:
                self._events.add_scalar(f"epoch/{name}", value, record.step)
        for label in self._labels:
            self._events.add_scalar(f"average_precision/{label}", record.average_precision[label], record.step)
        self._write(history)

    def flush(self) -> None:
        """All that was told is on its way to the disk: before a checkpoint, which a resumed run trusts to be behind."""
        self._events.flush()

    def _write(self, history: Sequence[EpochRecord]) -> None:
        text = history_csv(history, self._labels).encode()
        write_file(self._path, lambda file: file.write(text))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()


def history_csv(history: Sequence[EpochRecord], labels: Sequence[str]) -> str:
    """One line an epoch, with every label's average precision in a column `ap.LABEL`."""
    rows = [_numbers(r) | {f"ap.{label}": r.average_precision[label] for label in labels} for r in history]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_COLUMNS, *(f"ap.{label}" for label in labels)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


_COLUMNS: Final = (
    "epoch",
    "step",
    "learning_rate",
    "training_loss",
    "validation_loss",
    "mean_average_precision",
    "gradient_norm",
    "skipped",
    "images_per_second",
    "waiting",
    "seconds",
)


def _numbers(record: EpochRecord) -> dict[str, float]:
    return {name: value for name, value in asdict(record).items() if name in _COLUMNS}
