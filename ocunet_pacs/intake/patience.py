"""How long a peer may take over one thing that it began to send.

A time-out of silence alone lets a peer that sends a byte now and then keep its association, one of a limited number,
for ever. So whatever was begun must come at a rate, once a grace is over: an image of 36 MB may take two and a half
hours, a request of a few hundred bytes no longer than the grace. A peer that is silent between two messages is another
matter, for the idle time-out; one that sends a C-ECHO now and then may stay, as some modalities do.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SLOWEST_BYTES_A_SECOND = 4096
"""Half of what ISDN brought: no clinic's network is slower, and a peer that is loses nothing but its turn."""


class Patience:
    """With one thing that a peer sends, from now on. `grace` in seconds; None is endless."""

    def __init__(self, grace: float | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._grace = grace
        self._begun = monotonic()
        self._excused = 0.0
        self._bytes = 0

    def received(self, count: int) -> None:
        """So many more bytes came. TimeoutError when it is taking too long."""
        self._bytes += count
        if self._grace is None:
            return
        taken = self._monotonic() - self._begun - self._excused
        if taken > self._grace + self._bytes / SLOWEST_BYTES_A_SECOND:
            raise TimeoutError(f"the peer sent {self._bytes} bytes in {taken:.0f} seconds")

    def excuse(self, seconds: float) -> None:
        """The peer is not to blame for this time: a disk of ours was slow."""
        self._excused += seconds
