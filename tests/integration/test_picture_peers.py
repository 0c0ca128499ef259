"""What validators and other programs make of our pictures and documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ocunet_pacs.domain.result import BundleRef, ImageResult, OutputKind
from ocunet_pacs.domain.routes import JPEG, UNCOMPRESSED, Form, Routes, Target
from ocunet_pacs.domain.study import Laterality, Reason, ReasonCode
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.report import header, wording
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports
from tests.integration.test_report_peers import errors, run
from tests.unit.report.made import (
    NOW,
    TRAINED,
    UNTRAINED,
    image,
    photograph,
    read,
    reporter,
    said,
    shown,
    stored,
    study,
)

pytestmark = pytest.mark.peers

KINDS = frozenset({OutputKind.HEATMAP, OutputKind.MAP})
EVERYTHING = Routes((Target("a"), Target("b", Form(heatmap=JPEG), KINDS)))
NOTHING = dict.fromkeys((*header.REQUIRED, "StudyDescription", "ImageLaterality", "PatientOrientation"))
LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": 9.5,
    "LossyImageCompressionMethod": "ISO_10918_1",
}
WITHOUT_RATIO = {keyword: value for keyword, value in LOSSY.items() if not keyword.endswith("Ratio")}
CASES: dict[str, tuple[ImageResult, dict[str, Any], BundleRef]] = {
    "right": (image(1, "R", DR=0.9), {}, TRAINED),
    "left, several labels": (image(1, "L", DR=0.9, EDN=0.8, ERM=0.7), {"ImageLaterality": "L"}, TRAINED),
    "unknown eye": (image(1, "U", ERM=0.9, RD=0.6), {"ImageLaterality": "B"}, TRAINED),
    "a frame": (image(1, "R", frame=2, DR=0.9), {}, TRAINED),
    "nothing known": (image(1, "U", DR=0.9), NOTHING, TRAINED),
    "lossy": (image(1, "R", DR=0.9, RD=0.8), LOSSY, TRAINED),
    "lossy, ratio unknown": (image(1, "R", DR=0.9), WITHOUT_RATIO, TRAINED),
    "japanese": (
        image(1, "R", DR=0.9),
        {
            "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
            "PatientName": "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046",
        },
        TRAINED,
    ),
    "let through": (
        replace(image(1, "R", DR=0.9), despite=(Reason(ReasonCode.UNGRADABLE, "out of focus"),)),
        {},
        TRAINED,
    ),
    "untrained": (image(1, "R", DR=0.9), {}, UNTRAINED),
}


@pytest.mark.parametrize("case", CASES)
def test_validators_accept_every_picture_and_document(tmp_path: Path, case: str) -> None:
    one, values, bundle = CASES[case]
    frames = 1 if one.frame is None else 2
    source = photograph(tmp_path / "photograph", 1, frames=frames, **values)
    reports = Reports(ReportSettings(), lambda: NOW, "1.2.3", EVERYTHING)
    pixels = np.full((48, 64, 3), 90, dtype=np.uint8)
    made = reports.pictures(one, shown(pixels), said(one), bundle, source)
    one = replace(one, heatmap_uid=reports.heatmap_uid(one, bundle))
    heatmaps = {m.sop_instance_uid: stored(m) for m in made if m.kind is OutputKind.HEATMAP}
    paths: dict[str, Path] = {}
    for thing in made:
        paths[thing.sop_instance_uid] = tmp_path / thing.sop_instance_uid
        paths[thing.sop_instance_uid].write_bytes(thing.content)
    for encoding in (UNCOMPRESSED, JPEG):
        form = Form(heatmap=encoding)
        report = reports.report(study(one, bundle=bundle), {one.sop_instance_uid: source}, heatmaps, form)
        pdf = reports.pdf(report, paths)
        paths[pdf.sop_instance_uid] = tmp_path / pdf.sop_instance_uid
        paths[pdf.sop_instance_uid].write_bytes(pdf.content)
    assert len(paths) == 5
    for path in paths.values():
        assert errors(path) == []
    photographs = [] if "SpecificCharacterSet" in values else [source]
    run("dcentvfy", *photographs, *paths.values())


def test_dcmtk_decodes_the_jpeg_as_we_painted_it(tmp_path: Path) -> None:
    one = image(1, DR=0.9)
    pixels = draw_fundus(seed=5, laterality=Laterality.RIGHT, size=(512, 384))
    source = photograph(tmp_path / "1", 1)
    plain, packed = (
        reporter().heatmap(one, shown(pixels), said(one), TRAINED, source, encoding=encoding)
        for encoding in (UNCOMPRESSED, JPEG)
    )
    path = tmp_path / "heatmap"
    path.write_bytes(packed.content)
    run("dcmj2pnm", "+on", path, tmp_path / "heatmap.png")
    theirs = cv2.cvtColor(cv2.imread(str(tmp_path / "heatmap.png")), cv2.COLOR_BGR2RGB).astype(int)
    assert abs(theirs - read(plain).pixel_array).mean() < 1.5


def test_dcmtk_shows_each_frame_of_the_map(tmp_path: Path) -> None:
    one = image(1, DR=0.9, RD=0.8)
    reports = Reports(ReportSettings(), lambda: NOW, "1.2.3", EVERYTHING)
    pixels = np.full((48, 64, 3), 90, dtype=np.uint8)
    *_, made = reports.pictures(one, shown(pixels), said(one), TRAINED, photograph(tmp_path / "1", 1))
    path = tmp_path / "map"
    path.write_bytes(made.content)
    for number, frame in enumerate(read(made).pixel_array, 1):
        run("dcm2pnm", "+on", "+F", str(number), "+Wm", path, tmp_path / f"{number}.png")
        theirs = cv2.imread(str(tmp_path / f"{number}.png"), cv2.IMREAD_GRAYSCALE)
        assert np.corrcoef(theirs.ravel(), frame.ravel())[0, 1] > 0.999


def pages_of(tmp_path: Path, bundle: BundleRef, **values: Any) -> list[str]:
    """The text of each page of the document of a study of three photographs, as poppler reads it."""
    reports = reporter()
    images = [
        image(1, "R", DR=0.8754, EDN=0.7),
        image(2, "L", GLAUCOMA=0.61),
        replace(image(3, "R"), scores=(), reasons=(Reason(ReasonCode.NOT_COLOUR, "the photograph is red-free"),)),
    ]
    pixels = draw_fundus(seed=5, laterality=Laterality.RIGHT, size=(512, 384))
    sources, files, heatmaps, done = {}, {}, {}, []
    for one in images:
        path = photograph(tmp_path / str(one.ordinal), one.ordinal, **{"ImageLaterality": str(one.laterality)} | values)
        sources[one.sop_instance_uid] = path
        if one.positives:
            made = reports.heatmap(one, shown(pixels), said(one), bundle, path)
            files[made.sop_instance_uid] = tmp_path / made.sop_instance_uid
            files[made.sop_instance_uid].write_bytes(made.content)
            heatmaps[made.sop_instance_uid] = stored(made)
            done.append(replace(one, heatmap_uid=made.sop_instance_uid))
        else:
            done.append(one)
    ds = read(reports.pdf(reports.report(study(*done, bundle=bundle), sources, heatmaps), files))
    path = tmp_path / "report.pdf"
    path.write_bytes(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength])
    fonts = [line.split() for line in run("pdffonts", path).splitlines()[2:]]
    assert fonts
    assert all("TrueType" in font and font[4:7] == ["yes", "yes", "yes"] for font in fonts)
    assert run("pdfimages", "-list", path).count(" jpeg ") == 2
    pages = run("pdftotext", "-layout", path, "-").split("\f")[:-1]
    return [" ".join(page.split()) for page in pages]


def test_the_document_says_what_the_report_says(tmp_path: Path) -> None:
    pages = pages_of(tmp_path, TRAINED, PatientName="M\u00fcller^J\u00fcrgen")
    whole = " ".join(pages)
    order = [
        "Patient M\u00fcller J\u00fcrgen",
        "Summary",
        "Suggested urgency of review: soon",
        "OD image 1: above threshold: Diabetic retinopathy 87.5 % (threshold 50.0 %",
        "OD, not assessed: not in colour",
        "OD (right eye)",
        "Diabetic retinopathy, image 1 [1] 87.5 % 50.0 % above threshold Soon",
        "OS (left eye)",
        "Glaucoma (suspected) 61.0 % 50.0 % above threshold Routine",
        "Remarks",
        TRAINED.digest,
        "OD Diabetic retinopathy, image 1; OD Retinal exudation, image 1",
        "OS Glaucoma (suspected)",
    ]
    assert [words for words in order if words not in whole] == []
    places = [whole.find(words) for words in order]
    assert places == sorted(places)
    assert "UNTRAINED" not in whole
    for number, page in enumerate(pages, 1):
        assert wording.DISCLAIMER in page
        assert f"Page {number} of {len(pages)}" in page
        assert "M\u00fcller J\u00fcrgen \u00b7 P-1 \u00b7 born 1960-01-30" in page


def test_every_page_of_an_untrained_model_says_so_and_a_name_is_written_as_far_as_can_be(tmp_path: Path) -> None:
    name = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046"
    pages = pages_of(tmp_path, UNTRAINED, PatientName=name)
    for page in pages:
        assert "UNTRAINED MODEL: every probability in this document is meaningless" in page
        assert "Yamada Tarou \u00b7 P-1" in page
    assert wording.UNTRAINED in pages[0]
    assert "?" not in " ".join(pages)
