"""Every error that training raises on purpose, a sentence each.

    TrainingError           whatever a data scientist should read instead of a traceback
    ├── RecipeError         the recipe cannot be used; lists every problem with its path
    ├── CorpusError         a collection is not laid out as its reader expects
    ├── ManifestError       a manifest cannot be read or written as it is
    │   └── LeakageError    the same eye, patient or photograph is on two sides of a split
    ├── CacheMiss           a photograph's prepared pixels are not in the cache
    ├── RunError            a run cannot start, go on or be resumed as asked
    ├── ComparisonError     two bundles were not judged by the same, so nothing can be said of their difference
    ├── PromotionError      a candidate cannot take the active bundle's place, or give it back, as asked
    └── MemoryExhausted     the device has too little memory for the recipe; says what to change

Messages name the object and what to do about it, and never hold patient data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import OcunetError

if TYPE_CHECKING:
    from collections.abc import Sequence


class TrainingError(OcunetError):
    """Root of the tree."""


class RecipeError(TrainingError):
    """The recipe cannot be used; `problems` holds one line per fault, each with the path of its key."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class CorpusError(TrainingError):
    """A collection is not laid out as its reader expects, or holds what no reader can know."""


class ManifestError(TrainingError):
    """A manifest cannot be read or written as it is; one line per fault."""


class LeakageError(ManifestError):
    """The same eye, patient or photograph is on two sides of a split; nothing may be learned or judged so."""


class CacheMiss(TrainingError):
    """A photograph's prepared pixels are not in the cache: fill it first."""


class RunError(TrainingError):
    """A run cannot start, go on or be resumed as asked."""


class ComparisonError(TrainingError):
    """Two bundles were not judged by the same, so nothing can be said of their difference."""


class PromotionError(TrainingError):
    """A candidate cannot take the active bundle's place, or give it back, as asked; one line per problem."""


class MemoryExhausted(TrainingError):
    """The device has too little memory for the recipe; the message says what to change."""
