"""A run's checkpoints: `last.pt`, where it goes on, and `best.pt`, its best epoch. Each is whole or is not there.

Both have one form, and either can be resumed. They hold tensors, numbers and texts only, and are read by torch's safe
load, which executes nothing. Keys: `format`; `identity` (what the run is, see `identity`); `position` (see `position`);
`network`, `average`, `optimiser`, `scaler` (state dicts); `averaged`, the averaged network's weights by OcuNet's names.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

import torch

from training.data.whole import PARTIAL, write_whole
from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import IO

    from torch import Tensor

LAST: Final = "last.pt"
BEST: Final = "best.pt"
_FORMAT: Final = 1


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write and fsync beside `path`, then rename onto it. RunError where the disk does not take it."""

    def save(file: IO[bytes]) -> None:
        torch.save({"format": _FORMAT} | dict(content), file)

    write_file(path, save)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The checkpoint at `path`, on the CPU. RunError where it is missing, damaged, or of another release's form."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError):
        raise RunError(f"{path}: is damaged, or is no checkpoint; move it away and resume") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise RunError(
            f"{path}: is not a checkpoint of this release's form ({_FORMAT}); finish it with its own release"
        )
    return content


def latest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The checkpoint that got furthest; None where there is none.

    That is `best.pt` where the run was killed after writing it and before `last.pt`.
    """
    found = [read_checkpoint(path) for path in (folder / LAST, folder / BEST) if path.exists()]
    return max(found, key=lambda c: (c["position"]["epoch"], c["position"]["step"]), default=None)


def best_weights(folder: Path) -> Mapping[str, Tensor]:
    """The averaged network's state of the best epoch, by OcuNet's names, on the CPU. RunError where there is none."""
    path = folder / BEST
    if not path.exists():
        raise RunError(f"{folder}: no epoch of this run has been validated yet")
    weights: Mapping[str, Tensor] = read_checkpoint(path)["averaged"]
    return weights


def write_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """`write` fills a temporary file, which takes the place of `path` when it is on the disk. RunError."""
    try:
        write_whole(path, write)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}; what was there before is intact") from None


def remove_partial(folder: Path) -> None:
    """Remove what writers that were killed left behind."""
    for path in folder.glob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)
