"""Read ahead: the next photograph is decoded while the last one is in the network."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

T = TypeVar("T")


class _End:
    """The last thing in the queue: the iterator ended, or raised `error`."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Producer(threading.Thread, Generic[T]):
    def __init__(self, make: Callable[[], Iterator[T]], depth: int) -> None:
        super().__init__(name="read-ahead", daemon=True)
        self._make = make
        self._stopped = threading.Event()
        self.items: queue.Queue[T | _End] = queue.Queue(depth)

    def run(self) -> None:
        try:
            for item in self._make():
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - it rises in the caller's thread
            self._put(_End(error))
        else:
            self._put(_End(None))

    def _put(self, item: T | _End) -> bool:
        """Wait for room; False when nobody wants the item any more."""
        while not self._stopped.is_set():
            try:
                self.items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def read_ahead(make: Callable[[], Iterator[T]], depth: int) -> Generator[T]:
    """The items of `make()`, in order, produced by a thread that is at most `depth` items ahead of the caller.

    An error rises where its item would have come. A caller that stops early ends the thread at its next item, and
    waits for that, so that nothing is read any more when the caller goes on.
    """
    producer = _Producer(make, depth)
    producer.start()
    try:
        while True:
            item = producer.items.get()
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return
    finally:
        producer.stop()
