"""What validators, dumpers and another toolkit make of our reports and heatmaps."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.domain.result import BundleRef, ImageResult
from ocunet_pacs.domain.routes import Form
from ocunet_pacs.domain.study import Laterality, Reason, ReasonCode
from ocunet_pacs.report import codes, header
from tests.conftest import program
from tests.unit.report.made import (
    TRAINED,
    UNTRAINED,
    image,
    mixed,
    photograph,
    read,
    reporter,
    said,
    scores,
    shown,
    study,
    with_heatmaps,
)

pytestmark = pytest.mark.peers


def run(name: str, *arguments: str | Path) -> str:
    """What the program prints on both channels; its exit status must be 0."""
    done = subprocess.run([program(name), *map(str, arguments)], capture_output=True, timeout=60, check=False)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, output
    return output


def errors(path: Path) -> list[str]:
    """What dciodvfy calls an error; it exits with 0 whatever it finds."""
    done = subprocess.run([program("dciodvfy"), "-new", str(path)], capture_output=True, timeout=60, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    assert lines
    return [line for line in lines if line.startswith("Error")]


def warnings_beside_ours(path: Path) -> list[str]:
    """dciodvfy's warnings but for those about private coding schemes and an attribute newer than it is."""
    done = subprocess.run([program("dciodvfy"), "-new", str(path)], capture_output=True, timeout=60, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return [
        line
        for line in lines
        if line.startswith("Warning") and "99OCUNET" not in line and "ContributingEquipmentSequence" not in line
    ]


def refused(ordinal: int, eye: str, code: ReasonCode) -> ImageResult:
    return replace(image(ordinal, eye), scores=(), reasons=(Reason(code, "this is why"),))


EVERYTHING = ImageResult(
    image(1).sop_instance_uid,
    image(1).sop_class_uid,
    None,
    1,
    Laterality.LEFT,
    scores(**{label.name: 0.9 for label in LABELS}),
)
INCOMPLETE = {"unknown eye", "nothing known"}
"""dciodvfy warns of what is empty, and here it is."""
NOTHING = dict.fromkeys((*header.REQUIRED, "StudyDescription", "ImageLaterality", "PatientOrientation"))
OLD_REGION = Dataset()
OLD_REGION.CodeValue, OLD_REGION.CodingSchemeDesignator, OLD_REGION.CodeMeaning = "T-AA610", "SRT", "Retina"
CASES: dict[str, tuple[list[ImageResult], dict[str, Any], BundleRef]] = {
    "both eyes": ([image(1, "R", DR=0.9, EDN=0.8), image(2, "L", GLAUCOMA=0.9, NORMAL=0.7)], {}, TRAINED),
    "unknown eye": ([image(1, "U", ERM=0.9)], {}, TRAINED),
    "every label": ([EVERYTHING], {}, TRAINED),
    "nothing known": ([image(1, "U", DR=0.9)], NOTHING, TRAINED),
    "japanese": (
        [image(1, "R", DR=0.9)],
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        TRAINED,
    ),
    "frames of two eyes": (
        [image(1, "R", frame=1, DR=0.9), replace(refused(1, "L", ReasonCode.UNGRADABLE), frame=2)],
        {"ImageLaterality": "B"},
        TRAINED,
    ),
    "old codes": ([image(1, "R", DR=0.9), image(2, "R", DR=0.8)], {"AnatomicRegionSequence": [OLD_REGION]}, TRAINED),
    "untrained": ([image(1, "R", DR=0.9), image(2, "L")], {}, UNTRAINED),
}


@pytest.mark.parametrize("case", CASES)
def test_validators_and_dumpers_accept_them(tmp_path: Path, case: str) -> None:
    images, values, bundle = CASES[case]
    reports = reporter()
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reports, images, bundle, **values)
    made.append(reports.report(result, sources, heatmaps))
    paths = []
    for place, thing in enumerate(made):
        paths.append(tmp_path / f"made{place}")
        paths[-1].write_bytes(thing.content)
        assert errors(paths[-1]) == []
        assert case in INCOMPLETE or warnings_beside_ours(paths[-1]) == []
    dump = run("dsrdump", "+Pt", "+Pc", paths[-1])
    assert "CONTINUOUS" not in dump
    page = run("dsr2html", paths[-1])
    for one in images:
        for score in one.positives:
            assert codes.label_of(score.label).display in page
            assert "Probability" in page
    assert ("UNTRAINED" in page) is not bundle.trained
    # dcentvfy compares bytes, so it calls one name in two character sets different.
    photographs = [] if "SpecificCharacterSet" in values else sources.values()
    run("dcentvfy", *photographs, *paths)


@pytest.mark.parametrize("title", codes.TITLES)
def test_every_title_makes_a_valid_report(tmp_path: Path, title: str) -> None:
    reports = reporter()
    result, sources, heatmaps, _ = mixed(tmp_path, reports)
    path = tmp_path / "report"
    path.write_bytes(reports.report(result, sources, heatmaps, Form(title=title)).content)
    assert errors(path) == []
    assert codes.TITLES[title].meaning in run("dsrdump", "+Pt", "+Pc", path)


def test_an_object_that_is_no_image_is_referred_to_as_one_that_is_none(tmp_path: Path) -> None:
    pdf = replace(refused(2, "U", ReasonCode.SOP_CLASS), sop_class_uid=EncapsulatedPDFStorage)
    without_pixels = dict.fromkeys(("Rows", "Columns", "PixelData", "ImageLaterality"))
    sources = {
        image(1).sop_instance_uid: photograph(tmp_path / "1", 1),
        pdf.sop_instance_uid: photograph(tmp_path / "2", 2, SOPClassUID=EncapsulatedPDFStorage, **without_pixels),
    }
    path = tmp_path / "report"
    path.write_bytes(reporter().report(study(image(1), pdf), sources, {}).content)
    assert errors(path) == []
    assert run("dsrdump", "+Pt", "+Pc", path).count("COMPOSITE:") == 2


def test_dcmtk_decodes_the_heatmap_as_we_painted_it(tmp_path: Path) -> None:
    one = image(1, DR=0.9)
    pixels = np.full((48, 64, 3), 90, dtype=np.uint8)
    made = reporter().heatmap(one, shown(pixels), said(one), TRAINED, photograph(tmp_path / "1", 1))
    path = tmp_path / "heatmap"
    path.write_bytes(made.content)
    run("dcm2pnm", "+on", path, tmp_path / "heatmap.png")
    theirs = cv2.cvtColor(cv2.imread(str(tmp_path / "heatmap.png")), cv2.COLOR_BGR2RGB)
    assert (theirs == read(made).pixel_array).all()


@pytest.mark.shared
def test_a_real_photograph_makes_a_valid_heatmap_of_bounded_size(tmp_path: Path, shared: Path) -> None:
    file = min((shared / "data" / "fullres").glob("*.jpg"))
    pixels = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
    one = image(1, DR=0.9, EDN=0.8, ERM=0.7)
    source = photograph(tmp_path / "1", 1)
    made = reporter().heatmap(one, shown(pixels), said(one), TRAINED, source)
    path = tmp_path / "heatmap"
    path.write_bytes(made.content)
    assert errors(path) == []
    ds = dcmread(path)
    assert max(ds.Rows, ds.Columns) <= 2300
