"""One worker of a `PreparingPool`: a process that decodes and prepares one picture at a time, and may die of it.

It is started with the number of its end of a socket, is told over it what to do, and ends when the other end closes.
`work` is that much of it; a pool of other workers brings its own answers.
"""

from __future__ import annotations

import pickle
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.imaging import messages
from ocunet_pacs.imaging.allocator import settle_allocator
from ocunet_pacs.imaging.confined import end_with, settle_limits, settle_signals, silence
from ocunet_pacs.imaging.decode import frames
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.imaging.messages import Array, Message, Orders

_ORPHAN_GRACE_S = 5
"""How much longer than the pool would a worker waits for a picture before it ends itself, should the pool be gone."""

_KEPT_BYTES = 256 << 20
"""Memory that a worker holds on to from picture to picture: what one of twenty megapixels takes."""

_BEGINNINGS = frozenset({"header", "photographs"})
"""Keys of orders that begin something; any other one asks for the next piece."""


Reply = tuple["Message", "list[Array]"]
Answers = Callable[["Message", "Orders"], "Iterator[Reply]"]
"""What is replied to an order, one piece for each time that the pool asks."""


def work(answers: Answers) -> None:
    """Answer the pool until the other end of the socket closes. For a process of its own."""
    settle_signals()
    channel = socket.socket(fileno=int(sys.argv[1]))
    orders: Orders = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from the process that started this one
    cv2.setNumThreads(1)
    settle_allocator(_KEPT_BYTES)
    end_with(channel)
    settle_limits(orders.memory_bytes)
    silence()
    with suppress(messages.Broken, OSError):
        messages.send(channel, {"ready": True})
        _serve(channel, orders, answers)


def _serve(channel: socket.socket, orders: Orders, answers: Answers) -> None:
    replies: Iterator[Reply] = iter(())
    while True:
        order, _ = messages.receive(channel)
        signal.alarm(int(orders.timeout_s) + _ORPHAN_GRACE_S)
        if order.keys() & _BEGINNINGS:
            replies = answers(order, orders)
        message, arrays = _reply(replies)
        signal.alarm(0)
        messages.send(channel, message, *arrays)
        del message, arrays


def _reply(replies: Iterator[Reply]) -> Reply:
    """The next reply, or what became of it instead. A text that could quote the patient stays here."""
    try:
        return next(replies, ({"end": True}, []))
    except BadInput as error:
        return {"refused": messages.reason_out(error.reason)}, []
    except OSError as error:  # the codecs' own became BadInput: this is the file's
        return {"unreadable": error.errno or 0}, []
    except Exception as error:  # noqa: BLE001 -- whatever a codec raises is told by its type
        return {"failed": type(error).__name__}, []


def _answers(order: Message, orders: Orders) -> Iterator[Reply]:
    return _header(Path(order["header"])) if "header" in order else _photographs(Path(order["photographs"]), orders)


def _header(path: Path) -> Iterator[Reply]:
    yield {"header": messages.header_out(read_header(path))}, []


def _photographs(path: Path, orders: Orders) -> Iterator[Reply]:
    assert orders.spec is not None
    declared = read_header(path).number_of_frames
    for number, rgb in enumerate(frames(path), 1):
        message, *arrays = messages.photograph_out(prepare(orders.spec, rgb, orders.limits, reuse=True))
        yield {"photograph": message, "last": number >= declared}, list(arrays)


def main() -> None:
    """Work for a pool that prepares DICOM files for network and reader."""
    work(_answers)


if __name__ == "__main__":
    main()
