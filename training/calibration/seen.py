"""What something was fitted on, so that it is never judged by the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from training.errors import LeakageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from training.data.manifest import Row
    from training.metrics.judged import Judged


@dataclass(frozen=True, slots=True)
class Seen:
    """Photographs, by their keys, and the groups (patients) that they are of."""

    keys: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def in_rows(cls, rows: Iterable[Row]) -> Self:
        """What the rows of a manifest are."""
        listed = list(rows)
        return cls(frozenset(row.key for row in listed), frozenset(row.group for row in listed))

    @classmethod
    def in_judged(cls, judged: Judged) -> Self:
        """What was judged there."""
        return cls(frozenset(judged.keys), frozenset(judged.groups))

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) over the keys, in whatever order they came."""
        return hashlib.sha256("\n".join(sorted(self.keys)).encode()).hexdigest()

    def among(self, judged: Judged) -> NDArray[np.bool_]:
        """Which rows there are of a photograph or of a group that was seen, bool (rows,)."""
        return np.array(
            [key in self.keys or group in self.groups for key, group in zip(judged.keys, judged.groups, strict=True)],
            np.bool_,
        )

    def require_unseen(self, judged: Judged, what: str) -> None:
        """LeakageError where a row there was seen; `what` says what for: "the thresholds were chosen on them"."""
        if among := int(self.among(judged).sum()):
            raise LeakageError(
                f"{among} of {len(judged)} photographs, or others of their patients, must not be judged by: {what}"
            )
