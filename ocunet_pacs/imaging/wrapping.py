"""Wrapping photographs in a process of its own: one that kills it is refused, and the next finds another process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.errors import BadInput, OcunetError
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging import messages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from ocunet_pacs.imaging.messages import Message

_WORKER = "ocunet_pacs.imaging.wrap_worker"
_START_S = 120.0
_DYING_S = 0.5
_ORPHAN_GRACE_S = 5


class Wrapping:
    """One process that wraps, started when it is first needed. Used by one thread.

    `timeout` is for one picture, `memory_bytes` what the process may take on top of what it has when it starts (None:
    no limit). A picture that goes past either, or kills the process, is BadInput (DECODER_FAILED); one that kills a
    process that had worked before is tried once more in a fresh one, because damage can show late.
    """

    def __init__(self, *, timeout: timedelta, memory_bytes: int | None, worker_module: str = _WORKER) -> None:
        self._seconds = max(1, round(timeout.total_seconds()))
        self._memory = memory_bytes or 0
        self._module = worker_module
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._was_used = False

    def taken_at(self, picture: int) -> str:
        """EXIF's DateTimeOriginal of the open picture, as it stands there; "" without one. BadInput, OSError."""
        return str(self._ask({"look": True}, [picture]).get("taken", ""))

    def wrap(self, picture: int, out: int, fields: dict[str, Any]) -> None:
        """Write the open picture as a DICOM file to the open file `out`. BadInput, OSError.

        `fields` are arguments of `wrap_photograph` that JSON can hold, besides `taken` (ISO 8601, aware) and
        `time_is_known`.
        """
        self._ask({"wrap": fields}, [picture, out])

    def close(self) -> None:
        """End the process."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(_DYING_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def process_id(self) -> int | None:
        """The process, where one runs."""
        return None if self._process is None else self._process.pid

    def _ask(self, order: Message, descriptors: Sequence[int]) -> Message:
        was_used = self._was_used
        try:
            reply = self._try(order, descriptors)
        except _Crashed:
            if not was_used:
                raise
            reply = self._try(order, descriptors)
        match reply:
            case {"refused": reason}:
                raise BadInput(messages.reason_in(reason))
            case {"os": int(number)}:
                raise OSError(number, os.strerror(number))
            case {"failed": str(kind)}:
                raise BadInput(Reason(ReasonCode.DECODER_FAILED, f"its decoder gave up ({kind})"))
        return reply

    def _try(self, order: Message, descriptors: Sequence[int]) -> Message:
        channel = self._start()
        self._was_used = True
        try:
            socket.send_fds(channel, [b"."], list(descriptors))
            messages.send(channel, order)
            reply, _ = messages.receive(channel, time.monotonic() + self._seconds)
        except messages.TooLate:
            assert self._process is not None
            self._process.kill()
            self._lose()
            what = f"it was not decoded within {self._seconds} s"
            raise BadInput(Reason(ReasonCode.DECODER_FAILED, what)) from None
        except (messages.Broken, OSError):
            raise _Crashed(Reason(ReasonCode.DECODER_FAILED, f"its decoder {_ending(self._lose())}")) from None
        return reply

    def _start(self) -> socket.socket:
        """The channel to a process that runs. OcunetError where none can be had."""
        if self._channel is not None and self._process is not None and self._process.poll() is None:
            return self._channel
        self._lose()
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
        arguments = (str(theirs.fileno()), str(self._seconds + _ORPHAN_GRACE_S), str(self._memory))
        self._channel = ours
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 -- ourselves
                [sys.executable, "-P", "-m", self._module, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
                process_group=0,  # a Ctrl-C at the terminal is for us
            )
        try:
            messages.receive(ours, time.monotonic() + _START_S)
        except (messages.Broken, messages.TooLate):
            status = self._lose()
            raise OcunetError(f"the wrapping process did not start (status {status})") from None
        return ours

    def _lose(self) -> int | None:
        """End the process, if there is one; its exit status."""
        process = self._process
        self.close()
        self._was_used = False
        return None if process is None else process.returncode


class _Crashed(BadInput):
    """A picture, or one before it, killed the process."""


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
