"""multipart/related (RFC 2046 section 5.1, RFC 2387) read as a stream: what is fed comes out as parts, none is held.

Pure: bytes in, events out. At most one delimiter or the headers of one part wait for the rest of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_HEADERS = 1 << 14
"""Bytes of the headers of one part: real ones have about a hundred."""
_LONGEST_PADDING = 64
_LONGEST_BOUNDARY = 200
"""RFC 2046 allows 70 characters, and Orthanc sends 73."""


class BadMultipart(Exception):
    """The body is not multipart; the text says why, without any of it."""


@dataclass(frozen=True, slots=True)
class PartBegins:
    """A part begins. The names of its headers are in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """More of the part's content."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part is whole: a delimiter follows it."""


Event = PartBegins | PartData | PartEnds


@dataclass(frozen=True, slots=True)
class MediaType:
    """The value of a Content-Type header: what it names in lower case, and its parameters."""

    name: str
    parameters: Mapping[str, str]


def media_type(value: str) -> MediaType:
    """The media type that a header's value names; an empty name where it names none."""
    message = Message()
    message["content-type"] = value.replace("\r", " ").replace("\n", " ")
    found = message.get_params(failobj=[]) or []
    parameters = {name.lower(): text for name, text in found[1:] if isinstance(text, str)}
    return MediaType(found[0][0].strip().lower() if found else "", parameters)


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    BLANK_LINE = auto()
    CONTENT = auto()
    EPILOGUE = auto()


class MultipartReader:
    """Takes a body in pieces of any size. BadMultipart from every method, and then it is good for nothing."""

    def __init__(self, boundary: str) -> None:
        if not 1 <= len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
            raise BadMultipart("the boundary is missing or not 1 to 200 printable ASCII characters")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._state = _State.PREAMBLE
        # The first delimiter may stand at the very start, without a line before it.
        self._waiting = bytearray(b"\r\n")

    def feed(self, data: bytes) -> Iterator[Event]:
        """What is known of the parts with these bytes. Consume it before the next call."""
        if self._state is _State.EPILOGUE:
            return
        self._waiting += data
        while True:
            before = self._state, len(self._waiting)
            yield from self._step()
            if before == (self._state, len(self._waiting)):
                return

    def finish(self) -> None:
        """The body ends here."""
        if self._state is not _State.EPILOGUE:
            raise BadMultipart("the body ends before its closing delimiter")

    def _step(self) -> Iterator[Event]:
        if self._state is _State.HEADERS:
            return self._read_headers()
        if self._state is _State.BLANK_LINE:
            return self._pass_blank_line()
        return iter(()) if self._state is _State.EPILOGUE else self._read_content()

    def _read_content(self) -> Iterator[Event]:
        """Content (or what precedes the first part) up to the next delimiter, as far as it is certain."""
        found = self._waiting.find(self._delimiter)
        if found < 0:
            yield from self._content(max(0, len(self._waiting) - len(self._delimiter) + 1))
            return
        behind = found + len(self._delimiter)
        tail = bytes(self._waiting[behind : behind + _LONGEST_PADDING + 2])
        if tail[:2] == b"--":
            yield from self._end_of_part(found)
            self._waiting.clear()
            self._state = _State.EPILOGUE
            return
        line_end = tail.find(b"\r\n")
        if line_end >= 0 and not tail[:line_end].strip(b" \t"):
            yield from self._end_of_part(found)
            del self._waiting[: len(self._delimiter) + line_end + 2]
            self._state = _State.HEADERS
        elif line_end < 0 and (tail == b"-" or not tail.removesuffix(b"\r").strip(b" \t")):
            if len(tail) <= _LONGEST_PADDING:
                yield from self._content(found)  # what decides is still to come
            else:
                yield from self._content(behind)
        else:
            # It only looked like a delimiter: the boundary is the beginning of something longer.
            yield from self._content(behind)

    def _end_of_part(self, length: int) -> Iterator[Event]:
        yield from self._content(length)
        if self._state is _State.CONTENT:
            yield PartEnds()

    def _content(self, length: int) -> Iterator[Event]:
        """Hand on (or, before the first part, drop) that many bytes."""
        if length:
            data = bytes(self._waiting[:length])
            del self._waiting[:length]
            if self._state is _State.CONTENT:
                yield PartData(data)

    def _read_headers(self) -> Iterator[Event]:
        if self._waiting.startswith(b"\r\n"):
            end, content = 0, 2
        else:
            end = self._waiting.find(b"\r\n\r\n", 0, LONGEST_HEADERS)
            content = end + 4
        if end < 0:
            if len(self._waiting) >= LONGEST_HEADERS:
                raise BadMultipart("the headers of a part are too long")
            return
        headers = _headers(bytes(self._waiting[:end]))
        del self._waiting[: content - 2]
        self._state = _State.BLANK_LINE
        yield PartBegins(headers)

    def _pass_blank_line(self) -> Iterator[Event]:
        """The line break of the blank line may be the delimiter's own, where a part has no content at all."""
        if len(self._waiting) < len(self._delimiter) and self._delimiter.startswith(self._waiting):
            return iter(())
        if not self._waiting.startswith(self._delimiter):
            del self._waiting[:2]
        self._state = _State.CONTENT
        return iter(())


def _headers(text: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in text.decode("latin-1").split("\r\n") if text else ():
        if line[:1] in {" ", "\t"} and name:
            headers[name] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or not name or name in headers:
            raise BadMultipart("a part has a header line that is none, or one twice")
        headers[name] = value.strip()
    return headers
