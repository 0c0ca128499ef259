"""Rows to Markdown, and the names that the standard gives to UIDs and elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.datadict import dictionary_description
from pydicom.tag import Tag
from pydicom.uid import UID


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    assert lines, head
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines])


def named(uid: str) -> str:
    """A UID's name in the standard's registry."""
    name = str(UID(uid).name)
    assert name != uid, uid
    return name.removesuffix(" SOP Class")


def tag_of(keyword: str) -> str:
    tag = Tag(keyword)
    return f"({tag.group:04X},{tag.element:04X})"


def name_of(keyword: str) -> str:
    """An element's name as the standard writes it."""
    return dictionary_description(Tag(keyword))


def by_tag(keywords: Iterable[str]) -> list[str]:
    return sorted(set(keywords), key=lambda keyword: int(Tag(keyword)))
