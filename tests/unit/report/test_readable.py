from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ocunet_pacs.report import readable
from ocunet_pacs.report.lettering import drawable, font, wrap
from tests.unit.report.made import UNTRAINED, image, mixed, read, reporter, with_heatmaps


def test_text_goes_eye_by_eye_and_says_everything(tmp_path: Path) -> None:
    reports = reporter()
    words = readable.as_text(read(reports.report(*mixed(tmp_path, reports, UNTRAINED)[:3])), width=200)
    order = [
        "UNTRAINED MODEL",
        "Roe Jane",
        "unverified",
        "Suggested urgency of review (UNTRAINED MODEL, meaningless): soon (OD: Diabetic retinopathy, Retinal",
        "OS image 2: above threshold: Glaucoma (suspected) 60.0 % (threshold 50.0 %, routine). The model's normal",
        "a label above its threshold is a reason to look, not a diagnosis.",
        "OD (right eye) - suggested urgency of review: soon",
        "Diabetic retinopathy, image 1: 87.5 % (threshold 50.0 %), above threshold. Suggested urgency of review: soon",
        "Normality: Abnormal",
        "OD image 4: not assessed. Reason: the photograph is red-free",
        "OS (left eye) - suggested urgency of review: routine",
        "Glaucoma (suspected): 60.0 %",
        "Normality: Indeterminate",
        "Eye unknown - suggested urgency of review: none suggested",
        "no label above threshold",
        "Remarks",
        "Decision support, not a diagnosis.",
        "OS image 2: contradiction",
        UNTRAINED.digest,
    ]
    places = [words.index(part) for part in order]
    assert places == sorted(places)


def test_lines_keep_to_the_width(tmp_path: Path) -> None:
    reports = reporter()
    words = readable.as_text(read(reports.report(*mixed(tmp_path, reports)[:3])), width=80)
    assert max(len(line) for line in words.splitlines()) <= 80


def test_the_page_escapes_what_others_wrote_and_needs_nothing_else(tmp_path: Path) -> None:
    reports = reporter()
    evil = "<script>alert(1)</script>"
    one = image(1, DR=0.9)
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reports, [one], StudyDescription=evil)
    pictures = {h.sop_instance_uid: readable.heatmap_png(read(h)) for h in made}
    page = readable.as_html(read(reports.report(result, sources, heatmaps)), pictures)
    assert evil not in page
    assert "&lt;script&gt;" in page
    assert "http" not in re.sub(r"base64,[^\"]*", "", page), "a picture's letters may spell anything"
    assert page.count("<img ") == 1
    assert 'alt="Photograph with the regions that weigh for: OD Diabetic retinopathy"' in page
    assert '<html lang="en">' in page
    assert "87.5" not in page
    assert "90.0 %" in page


def test_pictures_open_and_show_what_is_stored(tmp_path: Path) -> None:
    reports = reporter()
    result, sources, heatmaps, made = mixed(tmp_path, reports)
    heatmap = read(made[0])
    with Image.open(io.BytesIO(readable.heatmap_png(heatmap))) as picture:
        assert (np.asarray(picture) == heatmap.pixel_array).all()
    with Image.open(io.BytesIO(readable.as_png(read(reports.report(result, sources, heatmaps))))) as page:
        assert page.width == 1200
        assert np.asarray(page.convert("L")).min() < 60


def test_a_picture_shows_as_much_of_a_name_as_its_typeface_can() -> None:
    face = font(20)
    assert drawable("Müller 山田", face) == "Muller ??"


def test_wrapping_breaks_what_has_no_spaces() -> None:
    face = font(20)
    lines = wrap("sha256 " + "ab12" * 30, 20, 200)
    assert all(face.getlength(line) <= 200 for line in lines)
    assert "".join(lines).replace(" ", "") == "sha256" + "ab12" * 30
