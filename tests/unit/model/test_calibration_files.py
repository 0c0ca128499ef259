from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.calibration_files import read_calibration, read_thresholds

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("DR", "NORMAL")

PUBLISHED = """
temperature: 1.1926
strategy: f1
min_recall: 0.8
thresholds:
  DR: {threshold: 0.575, f1: 0.8, precision: 0.7, recall: 0.9}
  NORMAL: {threshold: 0.65, f1: 0.8}
metrics: {macro_f1: 0.4741}
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_published_layout_is_read(tmp_path: Path) -> None:
    read = read_calibration(write(tmp_path / "calibration.yaml", PUBLISHED), LABELS)
    assert read.temperature == 1.1926
    assert read.thresholds == {"DR": 0.575, "NORMAL": 0.65}
    only = read_calibration(write(tmp_path / "calibration.yaml", "temperature: 2"), LABELS)
    assert (only.temperature, only.thresholds) == (2.0, None)
    alone = write(tmp_path / "optimal_thresholds.yaml", "DR: {threshold: 0.5, f1: 0.1}\nNORMAL: 0.25")
    assert read_thresholds(alone, LABELS) == {"DR": 0.5, "NORMAL": 0.25}


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "calibration.yaml",
        "temperature: 0\nthresholds: {DR: {threshold: 1.01}, XX: {threshold: 0.5}}",
    )
    with pytest.raises(BundleError) as refused:
        read_calibration(path, LABELS)
    lines = str(refused.value).splitlines()
    assert all(line.startswith("calibration.yaml: ") for line in lines)
    for part in ("temperature: 0", "thresholds.DR: 1.01", "thresholds.XX", "thresholds.NORMAL: is missing"):
        assert any(part in line for line in lines), part
    assert len(lines) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "thresholds: {DR: {threshold: 0.5}, NORMAL: {threshold: 0.5}}",
        "temperature: -1",
        "temperature: .nan",
        "temperature: .inf",
        "temperature: true",
        "temperature: warm",
        "temperature: 1\nthresholds: 0.5",
        "temperature: 1\nthresholds: {DR: {f1: 0.5}, NORMAL: 0.5}",
        "temperature: 1\nthresholds: {DR: -0.1, NORMAL: 0.5}",
        "temperature: [1",
        "temperature: !!python/object/apply:os.getcwd []",
    ],
)
def test_files_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BundleError, match=r"calibration\.yaml"):
        read_calibration(write(tmp_path / "calibration.yaml", text), LABELS)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"optimal_thresholds\.yaml: cannot be read"):
        read_thresholds(tmp_path / "optimal_thresholds.yaml", LABELS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({label: st.floats(allow_nan=True) for label in LABELS}))
def test_thresholds_are_taken_exactly_or_refused(tmp_path: Path, values: dict[str, float]) -> None:
    path = write(tmp_path / "t.yaml", yaml.safe_dump(values))
    if all(0 <= value <= 1 for value in values.values()):
        assert read_thresholds(path, LABELS) == values
    else:
        with pytest.raises(BundleError):
            read_thresholds(path, LABELS)
