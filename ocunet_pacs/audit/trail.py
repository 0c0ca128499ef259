"""The audit trail of one process: events are taken note of at once, and told by a thread of its own.

Nothing that happens here reaches the work: an event waits in a queue of fixed length, the thread writes messages to the
spool first and sends them from there, in order. While nobody answers they stay, up to a limit; beyond it they are
dropped and counted, and how many were is the first message when there is room again.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.audit.message import audit_message
from ocunet_pacs.audit.syslog import syslog_message
from ocunet_pacs.domain.audit import Alert, SecurityAlert, Started, Stopped
from ocunet_pacs.domain.ports import count_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ocunet_pacs.audit.message import Reporter
    from ocunet_pacs.audit.spool import Spool
    from ocunet_pacs.audit.targets import Target
    from ocunet_pacs.domain.audit import AuditEvent
    from ocunet_pacs.domain.ports import Count

QUEUE_LENGTH = 10_000
_BLOCK = 200
_BLOCK_BYTES = 1 << 20
_LARGEST = 1 << 18
_LOOK_S = 0.5
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time of day, for messages; seconds that only go on, for pauses."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


class NoTrail:
    """In a trail's place, where there is to be none."""

    def __call__(self, event: AuditEvent, /) -> None:
        """See `Audit`."""

    def close(self) -> None:
        """There is nothing to end."""


class Trail:
    """An `Audit`, for any number of threads. `spools`: the one of this process, and those that others left behind.

    `close` ends it, saying so. A process that ends without it is reported by whoever takes over its spool.
    """

    def __init__(
        self,
        reporter: Reporter,
        target: Target,
        spools: Sequence[Spool],
        *,
        clocks: Clocks,
        facility: int,
        count: Count = count_nothing,
        queue_length: int = QUEUE_LENGTH,
    ) -> None:
        self._reporter = reporter
        self._target = target
        self._spool = spools[0]
        self._left = list(spools[1:])
        self._clocks = clocks
        self._facility = facility
        self._count = count
        self._queue: queue.Queue[tuple[AuditEvent, datetime] | None] = queue.Queue(queue_length)
        self._lock = threading.Lock()
        self._dropped = 0
        self._closed = False
        self._lost_since: float | None = None
        self._retry_at = 0.0
        self._pause = _PAUSE_S
        self._keeps = True
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Say that this process runs, and of those before it that did not say so, that they ended."""
        ended = [spool.left_by for spool in (self._spool, *self._left) if spool.left_by]
        self._spool.belongs_to(self._reporter.role)
        for spool in self._left:
            spool.belongs_to("")
        for role in ended:
            self(Stopped(role))
        self(Started())
        self._thread.start()

    def __call__(self, event: AuditEvent, /) -> None:
        """See `Audit`."""
        try:
            self._queue.put_nowait((event, self._clocks.now()))
        except queue.Full:
            self._drop(1)

    def close(self, patience: float = 5.0) -> None:
        """Say that this process ends, send what can be sent within `patience` seconds, keep the rest."""
        self(Stopped())
        self._closed = True
        with suppress(queue.Full):
            self._queue.put_nowait(None)  # wakes the thread, which looks at `_closed` anyway
        self._thread.join(patience)
        # A thread that hangs in a connection keeps the spool; it dies with the process.

    def _run(self) -> None:
        log = structlog.get_logger()
        while True:
            closing = self._closed
            block = self._next_block()
            try:
                self._keep(block)
                if closing and self._queue.empty():
                    self._spool.belongs_to("")
                if (closing and self._lost_since is None) or self._clocks.monotonic() >= self._retry_at:
                    self._send()
            except Exception:
                # The audit trail goes on, whatever one event or file does to it.
                log.exception("audit_failed")
                self._put_off()
            if closing and not block:
                break
        for spool in (self._spool, *self._left):
            with suppress(OSError):
                spool.sync()
                spool.close()
        self._target.close()

    def _next_block(self) -> list[tuple[AuditEvent, datetime]]:
        """What is in the queue now; waits a moment for something."""
        block: list[tuple[AuditEvent, datetime]] = []
        with suppress(queue.Empty):
            while len(block) < _BLOCK:
                found = self._queue.get(block=not block and not self._closed, timeout=_LOOK_S)
                if found is None:
                    break
                block.append(found)
        return block

    def _keep(self, block: Sequence[tuple[AuditEvent, datetime]]) -> None:
        """Into the spool, behind a word of what was dropped."""
        if not block:
            return
        dropped = self._take_dropped()
        if dropped:
            told = SecurityAlert(Alert.RECORDING_STOPPED, f"{dropped} audit messages were dropped for want of room")
            block = [(told, self._clocks.now()), *block]
        messages = [message for event, at in block if (message := self._written(event, at))]
        try:
            left_out = self._spool.append(messages)
        except OSError as error:
            left_out = len(messages)
            self._note_keeps(keeps=False, problem=error.strerror or type(error).__name__)
        else:
            self._note_keeps(keeps=not left_out, problem="the spool is full")
        if left_out:
            # The word of what was dropped may be among them: then what it said is still to be said.
            all_of_them = left_out == len(messages)
            self._drop(left_out - 1 + dropped if dropped and all_of_them else left_out, counted=left_out)

    def _written(self, event: AuditEvent, at: datetime) -> bytes | None:
        try:
            xml = audit_message(event, at, self._reporter)
        except Exception as error:  # noqa: BLE001 - one event that cannot be written costs the others nothing
            structlog.get_logger().error("audit_event_not_written", kind=type(event).__name__, exc_info=error)
            self._drop(1)
            return None
        ours = self._reporter
        message = syslog_message(xml, at, facility=self._facility, host=ours.host, process=ours.process)
        if len(message) > _LARGEST:
            self._drop(1)
            return None
        return message

    def _send(self) -> None:
        """All that waits, the oldest first: what others left behind, then our own."""
        while self._left:
            if not self._send_from(self._left[0]):
                return
            self._left.pop(0).close()
        self._send_from(self._spool)

    def _send_from(self, spool: Spool) -> bool:
        """False where the target does not answer."""
        while not spool.is_empty:
            messages = spool.waiting(_BLOCK, _BLOCK_BYTES)
            if not messages:
                continue
            try:
                left_out = self._target.send(messages)
            except OSError as error:
                self._note_lost(error, spool)
                return False
            spool.sent()
            self._note_back(spool)
            self._count("audit_messages", len(messages) - left_out, outcome="sent")
            if left_out:
                self._drop(left_out)
        return True

    def _note_lost(self, error: OSError, spool: Spool) -> None:
        self._put_off()
        if self._lost_since is None:
            self._lost_since = self._clocks.monotonic()
            structlog.get_logger().error(
                "audit_target_lost",
                problem=error.strerror or type(error).__name__,
                hint="messages wait in the store and are sent when it is back",
            )
            spool.sync()

    def _put_off(self) -> None:
        self._retry_at = self._clocks.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)

    def _note_back(self, spool: Spool) -> None:
        self._pause, self._retry_at = _PAUSE_S, 0.0
        if self._lost_since is not None:
            after = round(self._clocks.monotonic() - self._lost_since, 1)
            self._lost_since = None
            structlog.get_logger().info("audit_target_back", after=after, waiting_bytes=spool.waiting_bytes)

    def _note_keeps(self, *, keeps: bool, problem: str) -> None:
        """Log once that messages are dropped, and once that they no longer are."""
        if keeps == self._keeps:
            return
        self._keeps = keeps
        if keeps:
            structlog.get_logger().info("audit_messages_kept_again")
        else:
            structlog.get_logger().error("audit_messages_dropped", problem=problem)

    def _drop(self, number: int, *, counted: int | None = None) -> None:
        with self._lock:
            self._dropped += number
        self._count("audit_messages", number if counted is None else counted, outcome="dropped")

    def _take_dropped(self) -> int:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped
