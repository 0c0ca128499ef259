"""Photographs of several studies in one batch: many threads ask, one thread runs the network.

A batch is sent when it is full or when its oldest photograph has waited long enough, whichever comes first.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from ocunet_pacs.domain.errors import DeviceHung

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from types import TracebackType

    from ocunet_pacs.domain.ports import Classifier
    from ocunet_pacs.domain.result import BundleRef, Classification, Photograph


@dataclass(slots=True, eq=False)
class _Request:
    """One caller's photographs; over when `left` is 0 or `error` is set."""

    answers: list[Classification | None]
    left: int
    error: Exception | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    photograph: Photograph
    request: _Request
    index: int
    since: float


@dataclass(slots=True)
class _State:
    """Everything that the lock guards."""

    waiting: deque[_Item] = field(default_factory=deque)
    running_since: float | None = None
    hung: bool = False
    closed: bool = False


class BatchingClassifier:
    """A `Classifier` for any number of threads over an inner one, which only this object's own thread ever calls.

    `max_batch` photographs at most go to the inner classifier at once; `max_wait` is how long a photograph waits for
    company. A run that takes longer than `hung_after` makes its callers and all later ones fail with DeviceHung, for
    good: a thread that hangs in a driver cannot be ended, only its process can.
    """

    def __init__(self, inner: Classifier, *, max_batch: int, max_wait: timedelta, hung_after: timedelta) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {max_batch}")
        self._inner = inner
        self._max_batch = max_batch
        self._max_wait = max_wait.total_seconds()
        self._hung_after = hung_after.total_seconds()
        self._state = _State()
        self._changed = threading.Condition()
        # A daemon: one that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name="network", daemon=True)
        self._thread.start()

    @property
    def bundle(self) -> BundleRef:
        """Which weights these are."""
        return self._inner.bundle

    @property
    def is_hung(self) -> bool:
        """Whether a run took longer than `hung_after`, ever: then the process should start again."""
        with self._changed:
            return self._notice_hang()

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        """One classification for each photograph, in order.

        Raises what the inner classifier raised for a batch that held one of these photographs; DeviceHung;
        RuntimeError after `close`.
        """
        request = _Request([None] * len(photographs), len(photographs))
        with self._changed:
            self._refuse()
            now = time.monotonic()
            self._state.waiting.extend(
                _Item(photograph, request, index, now) for index, photograph in enumerate(photographs)
            )
            self._changed.notify_all()
            while request.left and request.error is None:
                if self._notice_hang():
                    raise DeviceHung(f"the network has been at one batch for more than {self._hung_after:g} s")
                self._changed.wait(self._until_hung())
        if request.error is not None:
            raise request.error
        return [answer for answer in request.answers if answer is not None]

    def close(self) -> None:
        """Take no more photographs, finish those that wait, end the thread (not one that hangs)."""
        with self._changed:
            self._state.closed = True
            self._changed.notify_all()
        while self._thread.is_alive() and not self.is_hung:
            self._thread.join(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _refuse(self) -> None:
        if self._notice_hang():
            raise DeviceHung("the device that runs the network does not answer")
        if self._state.closed:
            raise RuntimeError("the classifier is closed")

    def _notice_hang(self) -> bool:
        """With the lock held: whether it hangs, now or ever before."""
        state = self._state
        if not state.hung and state.running_since is not None:
            state.hung = time.monotonic() - state.running_since > self._hung_after
            if state.hung:
                self._changed.notify_all()
        return state.hung

    def _until_hung(self) -> float:
        """With the lock held: seconds after which a caller should look again whether the device hangs."""
        started = self._state.running_since
        if started is None:
            return self._hung_after
        return max(started + self._hung_after - time.monotonic(), 0.0) + 0.001

    def _serve(self) -> None:
        while batch := self._next_batch():
            error: Exception | None = None
            answers: Sequence[Classification] = ()
            try:
                answers = self._inner.classify([item.photograph for item in batch])
                if len(answers) != len(batch):
                    raise RuntimeError(f"{len(answers)} answers to {len(batch)} photographs")  # noqa: TRY301
            except Exception as raised:  # noqa: BLE001 -- it is the callers', who raise it
                error = raised
            with self._changed:
                self._state.running_since = None
                self._hand_out(batch, answers, error)
                self._changed.notify_all()

    def _next_batch(self) -> list[_Item]:
        """Wait for photographs, and for company for them; empty when closed and done."""
        state = self._state
        with self._changed:
            while not state.waiting and not state.closed:
                self._changed.wait()
            while state.waiting and len(state.waiting) < self._max_batch and not state.closed:
                left = state.waiting[0].since + self._max_wait - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            batch = [state.waiting.popleft() for _ in range(min(len(state.waiting), self._max_batch))]
            if batch:
                state.running_since = time.monotonic()
            return batch

    def _hand_out(self, batch: list[_Item], answers: Sequence[Classification], error: Exception | None) -> None:
        if error is None:
            for item, answer in zip(batch, answers, strict=True):
                item.request.answers[item.index] = answer
                item.request.left -= 1
            return
        failed = {id(item.request) for item in batch}
        for item in batch:
            item.request.error = error
        # What else such a caller asked for is not needed any more.
        self._state.waiting = deque(item for item in self._state.waiting if id(item.request) not in failed)
