"""A run's folder: who may write there, and what lies there from the start."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from training.errors import RunError
from training.learning.checkpoints import remove_partial, write_file
from training.recipe import recipe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from training.recipe import Recipe

RECIPE: Final = "recipe.yaml"
LABELS: Final = "labels.txt"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder, made where it is missing, for this process alone and without what killed writers left. RunError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made or opened: {error.strerror}") from None
    try:
        _lock(descriptor, folder)
        remove_partial(folder)
        yield
    finally:
        os.close(descriptor)


def describe(folder: Path, recipe: Recipe, labels: Sequence[str]) -> None:
    """Write what the run is about for people: the recipe, whole, and the labels, one a line."""
    for name, text in ((RECIPE, recipe_text(recipe)), (LABELS, "".join(f"{label}\n" for label in labels))):
        content = text.encode()
        write_file(folder / name, lambda file, content=content: file.write(content))  # type: ignore[misc]


def _lock(descriptor: int, folder: Path) -> None:
    """Until the descriptor is closed, at the latest by the process's end."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f"{folder}: another process trains there") from None
    except OSError:
        pass  # a network file system that has no such locks
