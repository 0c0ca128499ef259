"""What many threads work with, and what may be replaced while they do: the old one ends with its last user."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Lent(Generic[T]):
    item: T
    users: int = 0
    retired: bool = False


class Lending(Generic[T]):
    """Lends an item to any number of threads. `close` is called once for each, when nobody uses it any more.

    It is called by the thread that used it last, or by `replace` and `retire` where nobody did.
    """

    def __init__(self, item: T, close: Callable[[T], None]) -> None:
        self._close = close
        self._current = _Lent(item)
        self._alive = [self._current]
        self._lock = threading.Lock()

    @contextmanager
    def lent(self) -> Iterator[T]:
        """The item of now, for as long as the block lasts, whatever replaces it meanwhile."""
        with self._lock:
            lent = self._current
            lent.users += 1
        try:
            yield lent.item
        finally:
            with self._lock:
                lent.users -= 1
            self._close_what_is_over()

    def replace(self, item: T) -> None:
        """Lend this from now on."""
        with self._lock:
            self._current.retired = True
            self._current = _Lent(item)
            self._alive.append(self._current)
        self._close_what_is_over()

    def retire(self) -> None:
        """Nobody asks any more: the item is closed as soon as nobody uses it."""
        with self._lock:
            self._current.retired = True
        self._close_what_is_over()

    @property
    def current(self) -> T:
        """What is lent now."""
        with self._lock:
            return self._current.item

    @property
    def alive(self) -> list[T]:
        """All that are not closed, the oldest first."""
        with self._lock:
            return [lent.item for lent in self._alive]

    def _close_what_is_over(self) -> None:
        with self._lock:
            over = [lent for lent in self._alive if lent.retired and not lent.users]
            self._alive = [lent for lent in self._alive if lent not in over]
        for lent in over:
            self._close(lent.item)
