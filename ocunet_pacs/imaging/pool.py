"""Files to prepared photographs in processes of their own: a picture that kills its decoder kills nothing else.

The codecs are native code and the files are whatever somebody sent. A worker that crashes, loops or eats memory is
ended and replaced; its picture fails with a reason, every other picture is as it would have been.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

from ocunet_pacs.domain.errors import BadInput, OcunetError
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging import messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path
    from types import TracebackType

    from ocunet_pacs.domain.result import Photograph
    from ocunet_pacs.domain.study import ImageHeader
    from ocunet_pacs.imaging.messages import Array, Message
    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from ocunet_pacs.imaging.quality_limits import QualityLimits

_WORKER = "ocunet_pacs.imaging.pool_worker"
_START_S = 120.0
"""A worker starts in a second; on a machine that is busy or has its disks asleep it may take longer."""
_DYING_S = 0.5
"""How long a worker that closed its socket may take to be gone, and its status known."""
_ONE_THREAD = MappingProxyType({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
"""There are as many workers as there is work for; and threads take address space, which is what is limited."""


class PreparingPool:
    """The `PhotographReader` port over `workers` processes, for any number of threads.

    `timeout` is for one frame, `memory_bytes` what a worker may take on top of what it has when it starts (None: no
    limit). A picture that goes past either, or that kills its worker, is BadInput (DECODER_FAILED); a picture that
    kills a worker which had worked before is tried once more in a fresh one, because damage can show late.

    A file of several frames keeps its worker until its iterator ends or is closed, and nothing is decoded ahead of
    what is asked for. With all workers taken a call waits. OcunetError where a worker does not start, and from calls
    after `close`.
    """

    def __init__(
        self,
        spec: PreprocessSpec,
        *,
        workers: int,
        timeout: timedelta,
        memory_bytes: int | None,
        limits: QualityLimits | None = None,
        worker_module: str = _WORKER,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self._orders = messages.Orders(spec, limits, timeout.total_seconds(), memory_bytes)
        self._module = worker_module
        self._changed = threading.Condition()
        self._closed = False
        self._seats = [_Seat() for _ in range(workers)]
        self._free = list(self._seats)
        try:
            for seat in self._seats:
                self._start(seat)
            for seat in self._seats:
                self._ready(seat)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def header(self, path: Path) -> ImageHeader:
        """See `ocunet_pacs.imaging.header.read_header`."""
        with self._seat() as seat:
            header = self._first(seat, {"header": os.fspath(path)}).header
        assert header is not None
        return header

    def photographs(self, path: Path) -> Iterator[Photograph]:
        """See `ocunet_pacs.imaging.prepare.PreparedFiles.photographs`."""
        with ExitStack() as held:
            seat = held.enter_context(self._seat())
            reply = self._first(seat, {"photographs": os.fspath(path)})
            while reply.photograph is not None and not reply.last:
                yield reply.photograph
                reply = self._ask(seat, {})
            if reply.photograph is None:
                return
            # What follows the last frame is looked at before it is handed on: its reader leaves the worker free.
            refused = None
            try:
                self._ask(seat, {})
            except BadInput as error:
                refused = error
            held.close()
            yield reply.photograph
            if refused is not None:
                raise refused

    def close(self) -> None:
        """End the workers; calls under way fail with OcunetError. May be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for seat in self._seats:
                if seat.worker is not None:
                    seat.worker.kill()
            for seat in self._free:
                seat.clear()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The workers' process ids, for whoever watches their memory."""
        with self._changed:
            return tuple(seat.worker.process.pid for seat in self._seats if seat.worker is not None)

    @contextmanager
    def _seat(self) -> Iterator[_Seat]:
        """A seat of one's own; wherever its worker was lost, the next one is started before the seat is given back."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed)
            self._refuse_when_closed()
            seat = self._free.pop()
        try:
            yield seat
        finally:
            with self._changed:
                if self._closed:
                    seat.clear()
                elif seat.worker is None:
                    with suppress(OSError):  # the next call tries again, and tells
                        self._start(seat)
                self._free.append(seat)
                self._changed.notify()

    def _start(self, seat: _Seat) -> None:
        with self._changed:
            self._refuse_when_closed()
            seat.worker = Worker(self._module, self._orders)

    def _ready(self, seat: _Seat) -> Worker:
        """The seat's worker, alive and ready. One that ends while it starts is started once more."""
        if seat.worker is not None and seat.worker.process.poll() is not None and seat.worker.is_ready:
            seat.clear()  # it died while nobody used it
        try:
            return self._awaited(seat)
        except messages.Broken:
            seat.clear()
            self._refuse_when_closed()
        except messages.TooLate:
            raise self._not_started(seat) from None
        try:
            return self._awaited(seat)
        except (messages.Broken, messages.TooLate):
            raise self._not_started(seat) from None

    def _awaited(self, seat: _Seat) -> Worker:
        if seat.worker is None:
            self._start(seat)
        worker = seat.worker
        assert worker is not None
        worker.wait_until_ready()
        return worker

    def _not_started(self, seat: _Seat) -> OcunetError:
        status = seat.clear()
        self._refuse_when_closed()
        return OcunetError(f"a decoding process did not start (status {status})")

    def _first(self, seat: _Seat, order: Message) -> _Reply:
        """The reply to an order that opens a file."""
        worker = self._ready(seat)
        if worker.was_used:
            with suppress(_Crashed):
                return self._ask(seat, order)
            worker = self._ready(seat)
        worker.was_used = True
        return self._ask(seat, order)

    def _ask(self, seat: _Seat, order: Message) -> _Reply:
        """The reply to an order, or the error that it tells. The seat is empty after one that ended its worker."""
        assert seat.worker is not None
        try:
            return _understand(*seat.worker.ask(order, self._orders.timeout_s))
        except messages.TooLate:
            seat.worker.kill()
            seat.clear()
            what = f"it was not decoded within {self._orders.timeout_s:g} s"
            raise BadInput(Reason(ReasonCode.DECODER_FAILED, what)) from None
        except messages.Broken:
            status = seat.clear()
            self._refuse_when_closed()
            raise _Crashed(Reason(ReasonCode.DECODER_FAILED, f"its decoder {ending(status)}")) from None

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise OcunetError("the decoding processes are closed")


class _Crashed(BadInput):
    """A picture, or one before it, killed the worker."""


class _Reply(NamedTuple):
    """What a worker answered; nothing at all after the last frame."""

    header: ImageHeader | None = None
    photograph: Photograph | None = None
    last: bool = False


class _Seat:
    """A place for one worker, used by one thread at a time."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def clear(self) -> int | None:
        """End the worker, if there is one; its exit status."""
        worker, self.worker = self.worker, None
        return None if worker is None else worker.end()


class Worker:
    """A process that was started, and our end of the socket to it."""

    def __init__(self, module: str, orders: messages.Orders) -> None:
        self.was_used = False
        self.is_ready = False
        self._channel, theirs = socket.socketpair()
        environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
        try:
            with theirs:
                self.process = subprocess.Popen(  # noqa: S603 -- ourselves
                    [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                    stdin=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    process_group=0,  # a Ctrl-C at the terminal is for us
                )
        except OSError:
            self._channel.close()
            raise
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as orders_in:
            pickle.dump(orders, orders_in)

    def wait_until_ready(self) -> None:
        """Broken, TooLate."""
        if not self.is_ready:
            messages.receive(self._channel, time.monotonic() + _START_S)
            self.is_ready = True

    def ask(self, order: Message, timeout_s: float) -> tuple[Message, list[Array]]:
        """Order and reply. Broken, TooLate."""
        deadline = time.monotonic() + timeout_s
        try:
            messages.send(self._channel, order)
        except OSError as error:
            raise messages.Broken from error
        return messages.receive(self._channel, deadline)

    def kill(self) -> None:
        """Make it end; a thread that waits for it finds that out."""
        self.process.kill()

    def end(self) -> int:
        """Wait for its end, kill it where that does not come by itself; the exit status."""
        self._channel.close()
        try:
            self.process.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.process.wait()


def _understand(message: Message, arrays: list[Array]) -> _Reply:
    """The reply; raises the error that it tells of. Broken where it makes no sense."""
    match message:
        case {"photograph": dict(fields), "last": bool(last)}:
            return _Reply(photograph=messages.photograph_in(fields, arrays), last=last)
        case {"header": dict(fields)}:
            return _Reply(header=messages.header_in(fields))
        case {"end": True}:
            return _Reply()
        case {"refused": reason}:
            raise BadInput(messages.reason_in(reason))
        case {"unreadable": int(number)}:
            raise OSError(number, os.strerror(number))
        case {"failed": str(kind)}:
            raise BadInput(Reason(ReasonCode.DECODER_FAILED, f"its decoder gave up ({kind})"))
    raise messages.Broken


def ending(status: int | None) -> str:
    """How a worker ended, in words that follow "its decoder"."""
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
