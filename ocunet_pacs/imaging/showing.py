"""Pictures for a page, out of a process of its own: hostile bytes are decoded there, and only pixels come back."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import BadInput, OcunetError
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging import messages
from ocunet_pacs.imaging.pool import Worker, ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.messages import Array, Message

_WORKER = "ocunet_pacs.imaging.show_worker"


class Showing:
    """One process, for any number of threads, one at a time; started when it is needed.

    `timeout` is for one file, `memory_bytes` what the process may take on top of what it has when it starts. What goes
    past either, or kills the process, is BadInput (DECODER_FAILED), and the next file finds a fresh one. OSError where
    the file cannot be read, OcunetError where no process can be had.
    """

    def __init__(self, *, timeout: timedelta, memory_bytes: int, clock: Callable[[], float]) -> None:
        self._orders = messages.Orders(None, None, timeout.total_seconds(), memory_bytes)
        self._clock = clock
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._used_at = clock()

    def picture(self, path: Path) -> RgbImage:
        """The first frame of a DICOM file, its longest side at most `show_worker.LONGEST_SIDE`."""
        _, arrays = self._ask({"photographs": os.fspath(path)})
        if len(arrays) != 1 or arrays[0].shape[2] != 3:
            raise BadInput(Reason(ReasonCode.DECODER_FAILED, "its decoder answered nonsense"))
        return arrays[0]

    def words(self, path: Path) -> dict[str, str]:
        """What the header says of patient and device; see `show_worker`. Anybody's text, and not long."""
        message, _ = self._ask({"header": os.fspath(path)})
        words = message.get("words")
        return {str(name): str(value) for name, value in words.items()} if isinstance(words, dict) else {}

    def rest(self, after: float) -> None:
        """End the process where nobody needed it for so many seconds."""
        with self._lock:
            if self._worker is not None and self._clock() - self._used_at > after:
                self._end()

    def close(self) -> None:
        """End the process, whatever it is at."""
        worker = self._worker
        if worker is not None:
            worker.kill()
        with self._lock:
            self._end()

    @property
    def process_id(self) -> int | None:
        """The process, where one runs."""
        worker = self._worker
        return None if worker is None else worker.process.pid

    def _ask(self, order: Message) -> tuple[Message, list[Array]]:
        with self._lock:
            self._used_at = self._clock()
            worker = self._started()
            try:
                message, arrays = worker.ask(order, self._orders.timeout_s)
            except messages.TooLate:
                worker.kill()
                self._end()
                what = f"it was not decoded within {self._orders.timeout_s:g} s"
                raise BadInput(Reason(ReasonCode.DECODER_FAILED, what)) from None
            except messages.Broken:
                what = f"its decoder {ending(self._end())}"
                raise BadInput(Reason(ReasonCode.DECODER_FAILED, what)) from None
        match message:
            case {"refused": reason}:
                raise BadInput(messages.reason_in(reason))
            case {"unreadable": int(number)}:
                raise OSError(number, os.strerror(number))
            case {"failed": str(kind)}:
                raise BadInput(Reason(ReasonCode.DECODER_FAILED, f"its decoder gave up ({kind})"))
        return message, arrays

    def _started(self) -> Worker:
        if self._worker is not None and self._worker.process.poll() is not None:
            self._end()  # it died while nobody used it
        if self._worker is None:
            self._worker = Worker(_WORKER, self._orders)
        try:
            self._worker.wait_until_ready()
        except (messages.Broken, messages.TooLate):
            self._worker.kill()
            raise OcunetError(f"the process that decodes pictures did not start (status {self._end()})") from None
        return self._worker

    def _end(self) -> int | None:
        worker, self._worker = self._worker, None
        return None if worker is None else worker.end()
