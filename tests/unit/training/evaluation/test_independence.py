"""What a network was made with proves nothing about it, and the page says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.training.evaluation.judgements import make_bundle, make_row
from training.data.manifest import Manifest, Split
from training.errors import LeakageError, ManifestError
from training.evaluation.evaluate import rows_of
from training.evaluation.independence import Weight, independence

ROWS = tuple(make_row(n, [n % 2] * 5, split=split) for n, split in enumerate([Split.TRAIN] * 4 + [Split.TEST] * 4))
MANIFEST = Manifest(ROWS, Path("/data"))
SAME = {"data": f"manifest {MANIFEST.fingerprint}"}


@pytest.mark.parametrize(
    ("split", "notes", "weights"),
    [
        ("test", SAME, [Weight.NOTE]),
        ("test", {}, [Weight.DOUBT]),
        ("test", {"data": "another"}, [Weight.DOUBT]),
        ("train", SAME, [Weight.VOID]),
        ("all", SAME, [Weight.VOID]),
    ],
)
def test_figures_on_what_the_network_saw_are_void(split: str, notes: dict[str, str], weights: list[Weight]) -> None:
    remarks = independence(make_bundle(notes=notes), MANIFEST, rows_of(MANIFEST, split))
    assert [remark.weight for remark in remarks] == weights


def test_validation_chose_the_thresholds() -> None:
    rows = [replace(row, split=Split.VALIDATION) for row in ROWS[:2]]
    (remark,) = independence(make_bundle(notes=SAME), MANIFEST, rows)
    assert remark.weight is Weight.VOID
    assert "thresholds" in remark.text


def test_rows_in_no_split_of_the_training_manifest_may_have_been_learned() -> None:
    manifest = Manifest(tuple(replace(row, split=Split.NONE) for row in ROWS), Path("/data"))
    notes = {"data": manifest.fingerprint}
    assert independence(make_bundle(notes=notes), manifest, manifest.rows)[0].weight is Weight.VOID


def test_an_untrained_bundle_says_so_first() -> None:
    remarks = independence(make_bundle(trained=False), MANIFEST, MANIFEST.of(Split.TEST))
    assert remarks[0].weight is Weight.VOID
    assert "untrained" in remarks[0].text


def test_a_group_on_two_sides_is_refused() -> None:
    leaking = Manifest((*ROWS, make_row(7, [0] * 5, split=Split.TRAIN, digest="f" * 64)), Path("/data"))
    with pytest.raises(LeakageError):
        rows_of(leaking, "test")


@pytest.mark.parametrize(("split", "says"), [("validation", "test, train"), ("tset", "name train, validation, test")])
def test_a_split_without_rows_says_which_there_are(split: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        rows_of(MANIFEST, split)
