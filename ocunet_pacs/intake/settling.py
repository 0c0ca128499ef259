"""When a file in a watched folder is complete. Pure: told what a scan saw, and when.

A share on the network tells nobody that a file was closed, so a file is complete when it does not change any more: its
size, time and identity, for as long as the site says, by our own clock. How old the file says it is is no help: copies
keep the original's time, and servers have clocks of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as one scan saw it; any difference means that it is being written, or another file."""

    inode: int
    size: int
    modified_ns: int
    is_regular: bool = True


class Settling:
    """The files of one folder. Times are seconds of a clock that never goes back."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._known: dict[str, tuple[Seen, float]] = {}

    def update(self, scan: Mapping[str, Seen], now: float) -> list[str]:
        """Take note of a scan of the whole folder; names of the files that are complete, oldest first."""
        self._known = {name: (seen, self._since(name, seen, now)) for name, seen in scan.items()}
        complete = [name for name, (_, since) in self._known.items() if now - since >= self._settle_s]
        return sorted(complete, key=lambda name: (self._known[name][0].modified_ns, name))

    def again(self, name: str, now: float) -> None:
        """It was not complete after all: the time starts again."""
        if name in self._known:
            self._known[name] = self._known[name][0], now

    def _since(self, name: str, seen: Seen, now: float) -> float:
        known = self._known.get(name)
        return known[1] if known is not None and known[0] == seen else now
