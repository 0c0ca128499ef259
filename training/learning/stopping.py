"""A run that is asked to stop finishes its step and writes where it is; asked twice, it ends at once."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

_Item = TypeVar("_Item")

_SAME_WORD_S: Final = 2.0
"""A terminal's Ctrl-C reaches torchrun and its processes, and torchrun hands it on: twice the same word."""


class Stop:
    """Whether somebody asked the run to stop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._asked_at: float | None = None

    @property
    def wanted(self) -> bool:
        """Whether to stop after this step."""
        return self._asked_at is not None

    def ask(self) -> bool:
        """Ask. True where it had been asked before, and not just now: then somebody means at once."""
        now = self._now()
        if self._asked_at is None:
            self._asked_at = now
            return False
        return now - self._asked_at >= _SAME_WORD_S


def until_stopped(items: Iterable[_Item], stop: Stop) -> Iterator[_Item]:
    """The items, as far as they come: torchrun and service managers end the processes that load them, too."""
    try:
        yield from items
    except (RuntimeError, TrainingError):
        # A loading process has ended. Were it anything else, the resumed run would meet it again.
        if not stop.wanted:
            raise


@contextmanager
def stop_on_signals(now: Callable[[], float] = time.monotonic) -> Iterator[Stop]:
    """A `Stop` that SIGTERM and SIGINT ask; the second signal ends the process with status 128 + its number.

    Ending at once is safe: checkpoints are written whole or not at all. For the main thread only.
    """
    stop = Stop(now)

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.ask():
            os._exit(128 + number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
