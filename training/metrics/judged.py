"""What a bundle said about photographs whose labels are known: what metrics, comparison and gate are counted from."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from training.data.whole import write_whole
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

_FORMAT: Final = 1
_DTYPES: Final = {
    "targets": np.float32,
    "known": np.bool_,
    "logits": np.float64,
    "probabilities": np.float64,
    "thresholds": np.float64,
}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One row a photograph, one column a label.

    `keys` name the pixels (`Row.key`), each once; `groups` are the patients. `targets`, float32 (rows, labels), are 0
    or 1, and mean something only where `known`. `logits` and `probabilities`, float64 (rows, labels), are the network's
    and the calibrated ones; a photograph is positive where its probability reaches the label's threshold (labels,).
    `bundle` is the digest of what spoke and `name` its name, empty where it was no bundle. ValueError where these do
    not fit together.
    """

    keys: tuple[str, ...]
    groups: tuple[str, ...]
    labels: tuple[str, ...]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    bundle: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        if problems := self._problems():
            raise ValueError("; ".join(problems))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Where a label is called present, (rows, labels): as in serving, a probability at its threshold is."""
        return self.probabilities >= self.thresholds

    def select(self, rows: ArrayLike) -> Self:
        """These rows only: a mask (rows,), or indices in the order wanted."""
        chosen = np.asarray(rows)
        index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.intp)
        return replace(
            self,
            keys=tuple(self.keys[i] for i in index),
            groups=tuple(self.groups[i] for i in index),
            targets=self.targets[index],
            known=self.known[index],
            logits=self.logits[index],
            probabilities=self.probabilities[index],
        )

    def select_labels(self, labels: Sequence[str]) -> Self:
        """These labels only, in this order. ValueError for one that is not here."""
        columns = [self.labels.index(label) for label in labels]
        return replace(
            self,
            labels=tuple(labels),
            targets=self.targets[:, columns],
            known=self.known[:, columns],
            logits=self.logits[:, columns],
            probabilities=self.probabilities[:, columns],
            thresholds=self.thresholds[columns],
        )

    def save(self, path: Path) -> None:
        """Write one npz file, whole or not at all. TrainingError."""
        content = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(
                path,
                lambda file: np.savez_compressed(file, allow_pickle=False, format=np.asarray(_FORMAT), **content),
            )
        except OSError as error:
            raise TrainingError(f"{path}: cannot be written: {error.strerror}") from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote. TrainingError for a file that is something else, or whose content does not fit."""
        try:
            with np.load(path, allow_pickle=False) as file:
                content = {name: file[name] for name in file.files}
        except OSError as error:
            raise TrainingError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, EOFError, zipfile.BadZipFile):
            raise TrainingError(f"{path}: is no file of judged photographs") from None
        if content.pop("format", None) != _FORMAT or set(content) != {field.name for field in fields(cls)}:
            raise TrainingError(f"{path}: is no file of judged photographs of this version")
        try:
            return cls(
                keys=_texts(content["keys"]),
                groups=_texts(content["groups"]),
                labels=_texts(content["labels"]),
                targets=content["targets"],
                known=content["known"],
                logits=content["logits"],
                probabilities=content["probabilities"],
                thresholds=content["thresholds"],
                bundle=str(content["bundle"]),
                name=str(content["name"]),
            )
        except ValueError as error:
            raise TrainingError(f"{path}: {error}") from None

    def _problems(self) -> list[str]:
        rows, labels = len(self.keys), len(self.labels)
        problems = [
            f"{name} has the shape {getattr(self, name).shape}, not {(rows, labels)}"
            for name in ("targets", "known", "logits", "probabilities")
            if getattr(self, name).shape != (rows, labels)
        ]
        if self.thresholds.shape != (labels,):
            problems.append(f"thresholds has the shape {self.thresholds.shape}, not {(labels,)}")
        if len(self.groups) != rows:
            problems.append(f"there are {len(self.groups)} groups for {rows} keys")
        if len(set(self.keys)) != rows:
            problems.append("a key occurs twice: each photograph counts once")
        if len(set(self.labels)) != labels:
            problems.append("a label occurs twice")
        if problems:
            return problems
        if not np.isin(self.targets[self.known], (0.0, 1.0)).all():
            problems.append("a known target is neither 0 nor 1")
        if not np.isfinite(self.logits).all():
            problems.append("a logit is not finite")
        if not ((self.probabilities >= 0.0) & (self.probabilities <= 1.0)).all():
            problems.append("a probability is not between 0 and 1")
        return problems


def _texts(content: NDArray[np.str_]) -> tuple[str, ...]:
    return tuple(str(text) for text in content)
