"""What makes a run that run, and what a resumption may change."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from training.data.manifest import Row
    from training.recipe import Recipe

_FREE: Final = (
    "name",
    "notes",
    "calibration",
    "export",
    "evaluation",
    "research",
    "data.labels",
    "data.minimum_positives",
    "data.validation",
    "data.test",
    "data.workers",
    "optimisation.accumulation",
    "optimisation.checkpoint_steps",
    "optimisation.patience",
)
"""Keys that may differ: what they change comes after training, is compared as labels, rows or passes, or moves no bit.

Not among them: `optimisation.epochs`, for the cosine runs over all of them.
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Two runs of one identity are one run. All of it can be written into a checkpoint."""

    recipe: dict[str, Any]
    """As JSON."""
    recipe_digest: str
    labels: list[str]
    data: str
    """See `data_digest`."""
    passes: int
    """Micro-batches of a step, over all processes: batch norm sees one at a time."""

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    def check(self, kept: Mapping[str, Any], folder: Path) -> None:
        """RunError that lists what differs from the run in `folder`, whose identity was `kept`."""
        problems = list(_differences(Identity(**kept), self))
        if problems:
            raise RunError(
                f"{folder}: cannot be resumed, for it is another run's; start in another folder, or set back:\n  "
                + "\n  ".join(problems)
            )


def identity_of(recipe: Recipe, labels: Sequence[str], data: str, passes: int) -> Identity:
    """The identity of a run; see the fields."""
    return Identity(recipe.model_dump(mode="json"), recipe.digest, list(labels), data, passes)


def data_digest(training: Sequence[Row], validation: Sequence[Row]) -> str:
    """sha256 (hex) over the pixels and labels of the rows of both splits, in their order, which decides who meets whom.

    Paths do not count. `Manifest.fingerprint` is the same for rows in another order, and would not do.
    """
    lines = [
        f"{side} {row.key} {'|'.join(sorted(row.positive))} {'|'.join(sorted(row.negative))}"
        for side, rows in (("training", training), ("validation", validation))
        for row in rows
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _differences(before: Identity, now: Identity) -> Iterator[str]:
    was, is_now = flat(before.recipe), flat(now.recipe)
    for key in sorted(was.keys() | is_now.keys()):
        if was.get(key) != is_now.get(key) and not key.startswith(tuple(f"{free}." for free in _FREE)):
            yield f"recipe: {key[:-1]} was {was.get(key)}, is {is_now.get(key)}"
    if before.labels != now.labels:
        gone = [name for name in before.labels if name not in now.labels]
        new = [name for name in now.labels if name not in before.labels]
        yield f"labels: gone {', '.join(gone) or 'none'}; new {', '.join(new) or 'none'}" + (
            "" if gone or new else "; the order differs"
        )
    if before.data != now.data:
        yield "data: the rows of training or validation are others, or in another order, or labelled otherwise"
    if before.passes != now.passes:
        yield f"processes times optimisation.accumulation was {before.passes}, is {now.passes}"


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value by its path, each part with a dot behind it, so that `name.` begins no other key."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        path = f"{prefix}{key}."
        found |= flat(value, path) if isinstance(value, dict) and value else {path: value}
    return found
