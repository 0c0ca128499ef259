"""Questions that may take long, asked in a thread of their own, so that whoever waits for the answer need not."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Asking(Generic[T]):
    """One question. Its answer, or its error, is kept for `keep` seconds; nobody waits longer than `patience` seconds.

    However many ask, one thread at a time does: a database that hangs costs one thread and not one for each scrape.
    """

    def __init__(
        self, ask: Callable[[], T], *, keep: float, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._keep = keep
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: Future[T] | None = None
        self._begun = 0.0

    def begin(self) -> Future[T]:
        """Ask, unless somebody does already or the last answer is new enough; what will hold the answer."""
        with self._lock:
            if self._answer is None or (self._answer.done() and self._clock() - self._begun >= self._keep):
                self._answer, self._begun = Future(), self._clock()
                # A daemon: one that hangs must not keep the process from ending.
                threading.Thread(target=self._run, args=(self._answer,), name="asking", daemon=True).start()
            return self._answer

    def __call__(self) -> T:
        """The answer, or what was raised in its place; TimeoutError when it is not there in time."""
        answer = self.begin()
        return answer.result(max(self._begun + self._patience - self._clock(), 0.0))

    def _run(self, answer: Future[T]) -> None:
        try:
            found = self._ask()
        except Exception as error:  # noqa: BLE001 - it is for those who asked
            answer.set_exception(error)
        else:
            answer.set_result(found)
