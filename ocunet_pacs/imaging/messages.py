"""What a pool and its workers say to each other over a socket: JSON, and pixels as they lie in memory.

No pickles come back from a worker: it runs native codecs over whatever was sent to us, and a codec that was taken over
must not be able to run code in the process that holds the database.
"""

from __future__ import annotations

import json
import math
import struct
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ocunet_pacs.domain.result import Box, Photograph
from ocunet_pacs.domain.study import ImageHeader, Laterality, Reason, ReasonCode

if TYPE_CHECKING:
    import socket

    from numpy.typing import NDArray

    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from ocunet_pacs.imaging.quality_limits import QualityLimits

    Message = dict[str, Any]
    Array = NDArray[np.uint8]

_LENGTH = struct.Struct("<I")
_MOST_TEXT = 1 << 20
_MOST_PIXELS = 3 << 24
"""Bytes of one array: the network's largest input and the largest `shown` stay under it."""


class Broken(Exception):
    """The other side is gone, or said what it never says."""


class TooLate(Exception):
    """The other side said nothing in time."""


class Orders(NamedTuple):
    """How a worker shall work. It goes as a pickle, in the one direction that is trusted: towards the worker.

    `spec` is for workers that prepare photographs for the network, None for others.
    """

    spec: PreprocessSpec | None
    limits: QualityLimits | None
    timeout_s: float
    memory_bytes: int | None


def send(channel: socket.socket, message: Message, *arrays: Array) -> None:
    """One message with its arrays; OSError where the other side is gone."""
    text = json.dumps({**message, "shapes": [array.shape for array in arrays]}).encode()
    channel.sendall(_LENGTH.pack(len(text)) + text)
    for array in arrays:
        channel.sendall(np.ascontiguousarray(array).data.cast("B"))


def receive(channel: socket.socket, deadline: float | None = None) -> tuple[Message, list[Array]]:
    """The next message and its arrays; `deadline` by `time.monotonic`. Broken, TooLate."""
    (length,) = _LENGTH.unpack(_exactly(channel, memoryview(bytearray(_LENGTH.size)), deadline))
    if length > _MOST_TEXT:
        raise Broken
    try:
        message = json.loads(_exactly(channel, memoryview(bytearray(length)), deadline).tobytes())
        shapes = [tuple(map(int, shape)) for shape in message.pop("shapes")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Broken from error
    arrays = []
    for shape in shapes:
        if len(shape) != 3 or min(shape) < 1 or math.prod(shape) > _MOST_PIXELS:
            raise Broken
        array = np.empty(shape, np.uint8)
        _exactly(channel, array.data.cast("B"), deadline)
        arrays.append(array)
    return message, arrays


def _exactly(channel: socket.socket, into: memoryview, deadline: float | None) -> memoryview:
    """`into`, filled."""
    filled = 0
    while filled < len(into):
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TooLate
        channel.settimeout(left)
        try:
            count = channel.recv_into(into[filled:])
        except TimeoutError as error:
            raise TooLate from error
        except OSError as error:
            raise Broken from error
        if not count:
            raise Broken
        filled += count
    return into


def photograph_out(photograph: Photograph) -> tuple[Message, *tuple[Array, ...]]:
    """A photograph as message and arrays."""
    message = {
        "crop": [photograph.crop.left, photograph.crop.top, photograph.crop.right, photograph.crop.bottom],
        "size": [photograph.width, photograph.height],
        "reasons": [reason_out(reason) for reason in photograph.reasons],
        "quality": [[name, float(value)] for name, value in photograph.quality],
        "doubts": [reason_out(reason) for reason in photograph.doubts],
        "appearance": [[name, float(value)] for name, value in photograph.appearance],
    }
    pattern = () if photograph.pattern is None else (photograph.pattern,)
    return message, photograph.pixels, photograph.shown, *pattern


def photograph_in(message: Message, arrays: list[Array]) -> Photograph:
    """The photograph of `photograph_out`. Broken where it is none."""
    try:
        pixels, shown, *pattern = arrays
        width, height = map(int, message["size"])
        return Photograph(
            pixels,
            shown,
            Box(*map(int, message["crop"])),
            width,
            height,
            tuple(reason_in(reason) for reason in message["reasons"]),
            tuple((str(name), float(value)) for name, value in message["quality"]),
            tuple(reason_in(reason) for reason in message["doubts"]),
            tuple((str(name), float(value)) for name, value in message["appearance"]),
            pattern[0] if pattern else None,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise Broken from error


def header_out(header: ImageHeader) -> dict[str, Any]:
    """A header's fields; JSON makes lists of its tuples."""
    return asdict(header)


def header_in(fields: dict[str, Any]) -> ImageHeader:
    """The header of `header_out`. Broken where it is none."""
    try:
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        plain["laterality"] = Laterality(plain["laterality"])
        plain["frame_lateralities"] = tuple(map(Laterality, plain["frame_lateralities"]))
        plain["stereo_pairs"] = tuple((str(left), str(right)) for left, right in plain["stereo_pairs"])
        return ImageHeader(**plain)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Broken from error


def reason_out(reason: Reason) -> list[str]:
    """Code and sentence."""
    return [reason.code.value, reason.detail]


def reason_in(pair: list[str]) -> Reason:
    """The reason of `reason_out`. Broken where it is none."""
    try:
        code, detail = pair
        return Reason(ReasonCode(code), str(detail))
    except (ValueError, TypeError) as error:
        raise Broken from error
