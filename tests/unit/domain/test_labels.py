"""The table of labels: what a doctor reads, and what her archive codes."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.labels import BY_NAME, LABELS, Urgency

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT_ORDER = (
    "Disease_Risk DR ARMD MH DN MYA BRVO TSLN ERM LS MS CSR ODC CRVO AH ODP ODE AION PT RT RS CRS EDN RPEC MHL "
    "CATARACT GLAUCOMA NORMAL RD RP"
).split()


def test_order_is_that_of_the_network_outputs() -> None:
    assert [label.name for label in LABELS] == OUTPUT_ORDER


@pytest.mark.parametrize(("name", "display"), [("MH", "Media haze"), ("DN", "Drusen")])
def test_the_training_data_names_the_label_and_the_model_card_is_an_alias(name: str, display: str) -> None:
    label = BY_NAME[name]
    assert label.display == display
    assert label.model_card_name != display
    assert label.model_card_name in label.caveat


def test_code_meanings_fit_a_dicom_long_string() -> None:
    for label in LABELS:
        for code in (label.code, label.site):
            assert 0 < len(code.meaning) <= 64, "Code Meaning is LO: 64 characters (PS3.5 section 6.2)"
            assert 0 < len(code.value) <= 16, "Code Value is SH: 16 characters"


def test_two_labels_never_share_a_code() -> None:
    codes = [(label.code.scheme, label.code.value) for label in LABELS]
    assert len(set(codes)) == len(codes)


def test_an_emergency_ranks_above_everything() -> None:
    assert max(Urgency, key=lambda urgency: urgency.rank) is Urgency.EMERGENCY


@pytest.mark.shared
def test_table_equals_the_published_facts(shared: Path) -> None:
    with (shared / "facts" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(LABELS)
    for row, label in zip(rows, LABELS, strict=True):
        scheme = "SCT" if row["scheme"] == "SCT" else "99OCUNET"
        assert label.name == row["label"]
        assert label.display == row["display"]
        assert label.model_card_name == row["model_card_name"]
        assert (label.code.value, label.code.scheme, label.code.meaning) == (row["code"], scheme, row["meaning"])
        assert f"{label.site.value} {label.site.meaning}" == row["finding_site"]
        assert label.kind == row["kind"]
        assert label.urgency.value == row["default_urgency"]
        assert label.caveat == row["note"]
