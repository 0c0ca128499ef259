"""One process of the pool that fills a cache: files of every kind to pixels, one at a time, and it may die of one.

The pool's own worker (`ocunet_pacs.imaging.pool_worker`) also makes what a reader is shown, and takes DICOM only.
"""

from __future__ import annotations

import pickle
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.result import Photograph
from ocunet_pacs.imaging import messages
from ocunet_pacs.imaging.allocator import settle_allocator
from ocunet_pacs.imaging.anyfile import is_photograph
from ocunet_pacs.imaging.confined import end_with, settle_limits, settle_signals, silence
from ocunet_pacs.imaging.decode import frames, read_photograph
from ocunet_pacs.imaging.preprocess import apply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.messages import Array, Message, Orders
    from ocunet_pacs.imaging.preprocess import PreprocessSpec

_ORPHAN_GRACE_S = 5
_KEPT_BYTES = 256 << 20


def main() -> None:
    """Work until the other end of the socket closes."""
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
        _serve(channel, orders)


def pictures(path: Path) -> Iterator[RgbImage]:
    """A photograph, or the frames of a DICOM file. BadInput, OSError."""
    if is_photograph(path):
        yield read_photograph(path)
    else:
        yield from frames(path)


def _serve(channel: socket.socket, orders: Orders) -> None:
    replies: Iterator[tuple[Message, list[Array]]] = iter(())
    while True:
        order, _ = messages.receive(channel)
        signal.alarm(int(orders.timeout_s) + _ORPHAN_GRACE_S)
        if "photographs" in order:
            replies = _prepared(Path(order["photographs"]), orders.spec)
        message, arrays = _reply(replies)
        signal.alarm(0)
        messages.send(channel, message, *arrays)
        del message, arrays


def _prepared(path: Path, spec: PreprocessSpec) -> Iterator[tuple[Message, list[Array]]]:
    for rgb in pictures(path):
        height, width = rgb.shape[:2]
        ready = apply(spec, rgb, reuse=True)
        nothing = ready.pixels[:1, :1]  # nobody is shown it
        message, *arrays = messages.photograph_out(Photograph(ready.pixels, nothing, ready.crop, width, height))
        yield {"photograph": message, "last": False}, list(arrays)


def _reply(replies: Iterator[tuple[Message, list[Array]]]) -> tuple[Message, list[Array]]:
    """The next reply, or what became of it instead. A text that could quote the patient stays here."""
    try:
        return next(replies, ({"end": True}, []))
    except BadInput as error:
        return {"refused": messages.reason_out(error.reason)}, []
    except OSError as error:  # the codecs' own became BadInput: this is the file's
        return {"unreadable": error.errno or 0}, []
    except Exception as error:  # noqa: BLE001 -- whatever a codec raises is told by its type
        return {"failed": type(error).__name__}, []


if __name__ == "__main__":
    main()
