"""The conformance statement says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ocunet_pacs.report.header import OPTIONAL, REQUIRED
from tests.statement.makings import KINDS, SAID, made
from tests.statement.page import PAGE
from tests.statement.page import sections as _sections
from tests.statement.statuses import by_status
from tests.unit.report.report_page import written


@cache
def sections() -> dict[str, str]:
    return _sections()


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def everything(ds: Dataset) -> Iterator[Dataset]:
    yield ds
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from everything(item)


def test_the_page_shows_what_the_code_does() -> None:
    assert written(page(), sections()) == page(), "make statement writes it anew"


def test_every_table_is_on_the_page_once_and_no_other() -> None:
    assert sorted(re.findall(r"^<!-- end of (.*) -->$", page(), re.MULTILINE)) == sorted(sections())


def test_every_uid_on_the_page_is_one_of_the_standard_or_ours() -> None:
    unknown = {uid for uid in re.findall(r"\b1\.2\.840\.10008[\d.]*\d", page()) if UID(uid).name == uid}
    assert not unknown


def test_a_value_is_tried_for_everything_that_is_copied() -> None:
    """An attribute that is copied and that no photograph here has would be missing from the tables."""
    assert set(SAID) == {*REQUIRED, *OPTIONAL}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_we_make_has_a_private_attribute(kind: str) -> None:
    for one in made():
        assert not [element.tag for ds in everything(one.objects[kind]) for element in ds if element.tag.is_private]


def test_statuses_are_gathered_without_leaving_one_out() -> None:
    found = by_status(lambda status: ("odd" if status in {7, 8, 9, 0x0100, 0xFFFF} else "usual",), ("status", "what"))
    assert found.splitlines()[2:] == ["| 0x0007 to 0x0009, 0x0100, 0xFFFF | odd |", "| any other | usual |"]


def test_the_chapters_are_those_of_the_standards_template() -> None:
    """PS3.2 annex A, of which the tables must not overwrite any."""
    chapters = re.findall(r"^## (\d) (.*)$", page(), re.MULTILINE)
    assert [int(number) for number, _ in chapters] == list(range(1, 9))
    assert {"4.1", "4.2", "4.3", "4.4"} == set(re.findall(r"^### (4\.\d) ", page(), re.MULTILINE))
    for title in re.findall(r"^\s*- \[([\d.]+ [^\]]+)\]", page(), re.MULTILINE):
        assert re.search(rf"^#+ {re.escape(title)}$", page(), re.MULTILINE), title
