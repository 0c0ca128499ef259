"""The streaming reader of multipart bodies: whatever the pieces, the same parts; whatever the tricks, no surprise."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.intake.multipart import (
    LONGEST_HEADERS,
    BadMultipart,
    MultipartReader,
    PartBegins,
    PartData,
    PartEnds,
    media_type,
)

BOUNDARY = "edge"


def read(body: bytes, cuts: list[int] | None = None, boundary: str = BOUNDARY) -> list[tuple[dict[str, str], bytes]]:
    """The whole parts of a body that is fed in pieces."""
    reader = MultipartReader(boundary)
    parts: list[tuple[dict[str, str], bytes]] = []
    for start, end in pairwise([0, *sorted(min(cut, len(body)) for cut in cuts or []), len(body)]):
        for event in reader.feed(body[start:end]):
            if isinstance(event, PartBegins):
                headers, content = dict(event.headers), b""
            elif isinstance(event, PartData):
                assert event.data
                content += event.data
            else:
                assert isinstance(event, PartEnds)
                parts.append((headers, content))
    reader.finish()
    return parts


def body_of(*contents: bytes, headers: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    return b"".join(b"--edge\r\n" + headers + b"\r\n" + content + b"\r\n" for content in contents) + b"--edge--\r\n"


TRICKY = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", b"edge", b"edg", b" ", b"\0", b"\r\n--edgeX"]),
    max_size=12,
).map(b"".join)


@given(st.lists(TRICKY, max_size=4), st.lists(st.integers(0, 300), max_size=12))
def test_pieces_of_any_size_give_the_same_parts(contents: list[bytes], cuts: list[int]) -> None:
    contents = [b"." + content for content in contents if b"\r\n--edge" not in content.replace(b"\r\n--edgeX", b"")]
    contents = [content + b"." for content in contents]
    expected = [({"content-type": "application/dicom"}, content) for content in contents]
    if expected:
        assert read(body_of(*contents), cuts) == expected


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_no_body_breaks_the_reader(junk: bytes, cuts: list[int]) -> None:
    with contextlib.suppress(BadMultipart):
        read(b"--edge\r\n" + junk, cuts)


def test_every_single_cut() -> None:
    body = b"preamble\r\n" + body_of(b"", b"one\r\n--edg", b"--") + b"epilogue"
    parts = read(body)
    assert [content for _, content in parts] == [b"", b"one\r\n--edg", b"--"]
    for cut in range(len(body)):
        assert read(body, [cut]) == parts
    assert read(body, list(range(len(body)))) == parts


def test_a_part_without_headers_or_content() -> None:
    assert read(b"--edge\r\n\r\nx\r\n--edge--") == [({}, b"x")]
    assert read(b"--edge\r\nA: b\r\n\r\n--edge--") == [({"a": "b"}, b"")]
    assert read(b"--edge  \t\r\nA: b\r\n c\r\n\r\nx\r\n--edge--") == [({"a": "b c"}, b"x")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no delimiter at all",
        b"--edge\r\nA: b\r\n\r\ncut",
        b"--edge\r\nA: b\r\n\r\ncut\r\n--edge\r\n",
        b"--edge\nA: b\n\ncontent\n--edge--\n",
        b"--edge\r\nno colon\r\n\r\nx\r\n--edge--",
        b"--edge\r\nA: b\r\nA: c\r\n\r\nx\r\n--edge--",
        b"--edge\r\nA: " + b"b" * LONGEST_HEADERS,
    ],
)
def test_what_is_not_multipart_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(BadMultipart):
        read(body)


def test_nothing_piles_up_while_a_delimiter_never_comes() -> None:
    reader = MultipartReader(BOUNDARY)
    list(reader.feed(b"--edge\r\n\r\n"))
    for piece in (b"\r\n--edge-\r\n", b"\r\n--edge" + b" " * 80, b"\r\n--edge\t\rx", b"\r" * 50, b"\r\n--edg"):
        for _ in range(200):
            list(reader.feed(piece))
            assert len(reader._waiting) < 200


@pytest.mark.parametrize("boundary", ["", "x" * 201, "caf\u00e9", "a\r\nb"])
def test_a_boundary_that_cannot_be_one(boundary: str) -> None:
    with pytest.raises(BadMultipart):
        MultipartReader(boundary)


def test_media_types() -> None:
    found = media_type('Multipart/Related; Type="application/dicom"; boundary="a; b"')
    assert found.name == "multipart/related"
    assert found.parameters == {"type": "application/dicom", "boundary": "a; b"}
    assert media_type("multipart/related; type=application/dicom; boundary=x").parameters["type"] == "application/dicom"
    assert media_type("").name == ""
