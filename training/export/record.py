"""What a bundle remembers of its training: notes in its manifest, plain text for people and read again by the card."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import ocunet_pacs
import training
from training.data.manifest import Split, targets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from training.data.manifest import Manifest
    from training.recipe import Recipe

_PREFIX: Final = "training "
_NAMES: Final = {
    "data_sha256": "training data sha256",
    "photographs": "training photographs",
    "labels": "training labels: positive, negative, unknown",
    "start": "training start",
    "recipe": "training recipe",
    "calibration": "training calibration",
    "code_sha256": "training code sha256",
}
_DECIDING: Final = ("domain", "imaging", "model")
"""Packages of the product that decide, with `training`, what a run gives."""


class Known(NamedTuple):
    """Of how many photographs a label is known to be there, known to be absent, or not known."""

    positive: int
    negative: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Record:
    """Where weights come from. Empty where a bundle does not say.

    `photographs` counts by split and source, `labels` by label and split. `recipe` holds what differs from OcuNet's
    recipe, as JSON; `code_sha256` is over the sources that decide what a run gives.
    """

    data_sha256: str = ""
    photographs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, Known]] = field(default_factory=dict)
    start: str = ""
    recipe: str = ""
    calibration: tuple[str, ...] = ()
    code_sha256: str = ""

    def to_notes(self) -> dict[str, str]:
        """For `Provenance.notes`: text as it is, counts as JSON."""
        return {
            _NAMES[name]: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            for name, value in asdict(self).items()
            if value
        }

    @classmethod
    def from_notes(cls, notes: Mapping[str, str]) -> Self:
        """What is there of it; counts that cannot be read count as absent."""
        written = {name: notes.get(note, "") for name, note in _NAMES.items()}
        try:
            photographs = json.loads(written["photographs"])
            calibration = tuple(json.loads(written["calibration"] or "[]"))
            labels = {
                label: {split: Known(*counts) for split, counts in splits.items()}
                for label, splits in json.loads(written["labels"]).items()
            }
        except (TypeError, ValueError, AttributeError):
            photographs, labels, calibration = {}, {}, ()
        return cls(
            data_sha256=written["data_sha256"],
            photographs=photographs,
            labels=labels,
            start=written["start"],
            recipe=written["recipe"],
            calibration=calibration,
            code_sha256=written["code_sha256"],
        )


def record_of(
    recipe: Recipe, labels: Sequence[str], data: Manifest, *, start: str, calibration: Sequence[str]
) -> Record:
    """The record of a run on `data` that started as `start` says; `calibration` is what was odd about fitting it."""
    splits = [split for split in Split if split is not Split.NONE and data.of(split)]
    counts = {split: targets(data.of(split), labels) for split in splits}
    return Record(
        data_sha256=data.fingerprint,
        photographs={split: dict(Counter(row.source for row in data.of(split)).most_common()) for split in splits},
        labels={
            label: {split: _known(*counts[split], column) for split in splits} for column, label in enumerate(labels)
        },
        start=start,
        recipe=_changes(recipe),
        calibration=tuple(calibration),
        code_sha256=code_digest(),
    )


def own_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """The notes that the recipe's author wrote."""
    return {name: text for name, text in notes.items() if not name.startswith(_PREFIX)}


def code_digest() -> str:
    """sha256 (hex) over the sources of `training` and of what it uses of the product."""
    digest = hashlib.sha256()
    product = Path(ocunet_pacs.__file__).parent
    for root in (Path(training.__file__).parent, *(product / name for name in _DECIDING)):
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{root.name}/{path.relative_to(root).as_posix()}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _known(values: NDArray[np.float32], known: NDArray[np.bool_], column: int) -> Known:
    positive = int(((values[:, column] > 0) & known[:, column]).sum())
    of_all = int(known[:, column].sum())
    return Known(positive, of_all - positive, len(known) - of_all)


def _changes(recipe: Recipe) -> str:
    """What differs from OcuNet's recipe and is nowhere else in the manifest; no path, which is a machine's own."""
    changes = recipe.model_dump(
        mode="json",
        exclude_defaults=True,
        exclude={"name": True, "preprocess": True, "notes": True, "network": {"architecture", "weights"}},
    )
    return json.dumps(changes, separators=(",", ":"))
