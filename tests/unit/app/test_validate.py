from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner, Result

from ocunet_pacs.cli.main import app
from tests.unit.report.made import image, photograph, reporter, with_heatmaps


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["validate", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def ours(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A report, a heatmap and the photograph that they are of."""
    reports = reporter()
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reports, [image(1, "R", DR=0.9)])
    report, heatmap = tmp_path / "report.dcm", tmp_path / "heatmap.dcm"
    report.write_bytes(reports.report(result, sources, heatmaps).content)
    heatmap.write_bytes(made[0].content)
    return report, heatmap, next(iter(sources.values()))


def test_valid_files_are_ok_and_others_objects_are_called_so(ours: tuple[Path, Path, Path]) -> None:
    done = run(*ours)
    assert done.exit_code == 0
    report, heatmap, photo = done.stdout.splitlines()
    assert report.startswith(f"{ours[0]}: OK (report, ")
    assert heatmap.startswith(f"{ours[1]}: OK (heatmap, ")
    assert photo == f"{ours[2]}: OK (not one of our objects: only the 10 general rules were run)"


def test_every_broken_rule_is_named_and_no_patient(ours: tuple[Path, Path, Path]) -> None:
    ds = dcmread(ours[0])
    ds.CompletionFlag = "PARTIAL"
    ds.PatientName = "Roe\ufffd^Jane"
    ds.save_as(ours[0])
    done = run(*ours)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{ours[0]}: breaks 2 (report, ")
    assert [line.split()[0] for line in lines[1:3]] == ["G07", "R04"]
    assert "R04 broken: the report is complete" in done.stdout
    assert "Roe" not in done.output
    facts = json.loads(run("--json", *ours).stdout)
    assert [rule["id"] for rule in facts[0]["broken"]] == ["G07", "R04"]
    assert [(fact["kind"], fact["error"]) for fact in facts] == [("report", None), ("heatmap", None), (None, None)]


def test_what_cannot_be_read_is_said_and_the_others_are_examined(ours: tuple[Path, Path, Path], tmp_path: Path) -> None:
    text, gone, cut = tmp_path / "text", tmp_path / "gone", tmp_path / "cut"
    text.write_text("Roe, Jane")
    cut.write_bytes(ours[0].read_bytes()[:2000])
    done = run(text, gone, cut, ours[0])
    assert done.exit_code == 2
    assert f"{text}: cannot be read: not_dicom" in done.stderr
    assert f"{gone}: cannot be read: No such file" in done.stderr
    assert f"{cut}: cannot be read: unreadable_dataset" in done.stderr
    assert f"{ours[0]}: OK" in done.stdout
    assert json.loads(run("--json", text).stdout)[0]["error"].startswith("not_dicom")


def test_a_foreign_image_with_faults_breaks_general_rules_only(tmp_path: Path) -> None:
    path = photograph(tmp_path / "1", 1, AccessionNumber=None, ImageLaterality="X")
    path.write_bytes(path.read_bytes().replace(b"20260301", b"20261399"))
    facts = json.loads(run("--json", path).stdout)[0]
    assert (facts["kind"], [rule["id"] for rule in facts["broken"]]) == (None, ["G04", "G08"])
