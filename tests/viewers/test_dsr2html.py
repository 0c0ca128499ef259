"""The report as dcmtk's page shows it in a browser: what a doctor without an SR viewer gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser import Chromium
from tests.viewers import expected
from tests.viewers.example import PATIENT, ExampleStudy
from tests.viewers.pages import dsr2html

pytestmark = pytest.mark.peers


@pytest.fixture
def text(browser: Chromium, both_eyes: ExampleStudy, tmp_path: Path) -> str:
    with browser.sheet() as sheet:
        return sheet.open(dsr2html(both_eyes.report, tmp_path)).text()


def test_each_finding_is_read_with_its_eye_probability_and_threshold(text: str) -> None:
    assert expected.missing(text) == []


def test_probability_is_a_word_with_its_number_and_unit_behind_it(text: str) -> None:
    assert {float(n) for n in re.findall(r"Probability: (\d+\.\d+) %", text)} >= {91.32, 78.45, 81.27, 66.54}


def test_laterality_is_read(text: str) -> None:
    assert re.search(r"Laterality = Right \(24028007, SCT\)", text)
    assert re.search(r"Laterality = Left \(7771000, SCT\)", text)


def test_what_it_is_and_what_it_is_not_is_read(text: str) -> None:
    for words in (expected.DISCLAIMER, expected.NOT_VERIFIED, expected.NOT_LISTED, "UNVERIFIED", "drawn-example"):
        assert re.search(words, text), words


def test_each_eyes_conclusions_begin_with_the_eye(text: str) -> None:
    assert re.search(expected.CONCLUSIONS, text)


def test_the_labels_caveats_are_read(text: str) -> None:
    for words in expected.CAVEATS:
        assert re.search(words, text), words


def test_the_patient_is_read(text: str) -> None:
    family, given = PATIENT.split("^")
    assert f"{given} {family}" in text
    assert "EXAMPLE-1" in text
