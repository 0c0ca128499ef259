from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000, JPEGBaseline8Bit

from ocunet_pacs.domain.result import Box, OutputKind, Photograph
from ocunet_pacs.domain.routes import JPEG, UNCOMPRESSED, Form, Routes, Target
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.report import codes
from ocunet_pacs.report.grayscale_map import build_map
from ocunet_pacs.report.painting import MAX_OPACITY, colours, opacity_of, overlay
from ocunet_pacs.report.readable import heatmap_png
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports
from tests.unit.report.made import (
    NOW,
    RESEARCH,
    SERIES,
    STUDY,
    TRAINED,
    UNTRAINED,
    image,
    photograph,
    read,
    reporter,
    said,
    scores,
    shown,
)

PIXELS = np.full((48, 64, 3), 90, dtype=np.uint8)


def test_it_says_what_it_is_and_where_it_comes_from(tmp_path: Path) -> None:
    one = image(3, "L", DR=0.9, RD=0.6)
    source = photograph(tmp_path / "1", 3, ImageLaterality="L")
    made = reporter().heatmap(one, shown(PIXELS), said(one), TRAINED, source)
    ds = read(made)
    assert made.sop_instance_uid == ds.SOPInstanceUID == reporter().heatmap_uid(one, TRAINED)
    assert (ds.StudyInstanceUID, ds.PatientID, ds.ImageLaterality) == (STUDY, "P-1", "L")
    assert ds.SeriesInstanceUID not in {SERIES, STUDY}
    assert list(ds.PatientOrientation) == ["L", "F"]
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == one.sop_instance_uid
    assert (ds.InstanceNumber, ds.SeriesNumber, ds.BurnedInAnnotation) == (3, 950, "YES")
    assert ds.pixel_array.shape == (ds.Rows, ds.Columns, 3)


def test_an_unknown_eye_is_not_guessed(tmp_path: Path) -> None:
    one = image(1, "U", DR=0.9)
    ds = read(
        reporter().heatmap(one, shown(PIXELS), said(one), TRAINED, photograph(tmp_path / "1", 1, ImageLaterality="B"))
    )
    assert "ImageLaterality" not in ds
    assert "AnatomicRegionModifierSequence" not in ds.AnatomicRegionSequence[0]


def test_an_image_without_positives_has_no_heatmap(tmp_path: Path) -> None:
    one = image(1)
    with pytest.raises(ValueError, match="no positive label"):
        reporter().heatmap(one, shown(PIXELS), said(one), TRAINED, photograph(tmp_path / "1", 1))


@pytest.mark.parametrize("only", ["Disease_Risk", "NORMAL"])
def test_the_flag_or_the_normal_class_alone_still_has_one(tmp_path: Path, only: str) -> None:
    one = replace(image(1), scores=scores(**{only: 0.9}))
    made = reporter().heatmap(one, shown(PIXELS), said(one), TRAINED, photograph(tmp_path / "1", 1))
    assert read(made).Rows > 0


@pytest.mark.parametrize(
    ("values", "syntax", "expected"),
    [
        ({}, None, ("00", None, None)),
        (
            {
                "LossyImageCompression": "01",
                "LossyImageCompressionRatio": 12.5,
                "LossyImageCompressionMethod": "ISO_10918_1",
            },
            None,
            ("01", 12.5, "ISO_10918_1"),
        ),
        ({}, JPEGBaseline8Bit, ("01", None, "ISO_10918_1")),
        ({"LossyImageCompression": None}, JPEG2000, ("01", None, "ISO_15444_1")),
        ({}, JPEG2000, ("00", None, None)),
    ],
)
def test_loss_in_the_photograph_stays_loss(
    tmp_path: Path, values: dict[str, Any], syntax: str | None, expected: tuple[str, float | None, str | None]
) -> None:
    source = photograph(tmp_path / "1", 1, **values)
    if syntax is not None:
        ds = dcmread(source, stop_before_pixels=True)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(source)
    one = image(1, DR=0.9)
    ds = read(reporter().heatmap(one, shown(PIXELS), said(one), TRAINED, source))
    loss = (ds.LossyImageCompression, ds.get("LossyImageCompressionRatio"), ds.get("LossyImageCompressionMethod"))
    assert loss == expected


def test_jpeg_is_an_object_and_a_series_of_its_own_and_looks_the_same(tmp_path: Path) -> None:
    one = image(1, "L", DR=0.9, EDN=0.8)
    source = photograph(tmp_path / "1", 1, ImageLaterality="L")
    pixels = draw_fundus(seed=3, laterality=Laterality.LEFT, size=(512, 384))
    plain, packed = (
        reporter().heatmap(one, shown(pixels), said(one), TRAINED, source, encoding=encoding)
        for encoding in (UNCOMPRESSED, JPEG)
    )
    ds, small = read(plain), read(packed)
    assert small.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert (ds.SOPInstanceUID, ds.SeriesInstanceUID) != (small.SOPInstanceUID, small.SeriesInstanceUID)
    assert (plain.form, packed.form) == (UNCOMPRESSED, JPEG)
    assert small.PhotometricInterpretation == "YBR_FULL_422"
    for keyword in ("ImageLaterality", "ImageComments", "SourceImageSequence", "SeriesNumber", "BurnedInAnnotation"):
        assert small[keyword] == ds[keyword]
    theirs = np.asarray(Image.open(io.BytesIO(heatmap_png(small))).convert("RGB")).astype(int)
    ours = ds.pixel_array.astype(int)
    assert theirs.shape == ours.shape
    assert abs(theirs - ours).mean() < 1.5
    assert len(packed.content) * 8 < len(plain.content)


@pytest.mark.parametrize(
    ("stated", "ratios", "methods"),
    [
        ({}, 1, ["ISO_10918_1"]),
        (
            {"LossyImageCompressionRatio": 12.5, "LossyImageCompressionMethod": "ISO_15444_1"},
            [12.5],
            ["ISO_15444_1", "ISO_10918_1"],
        ),
        ({"LossyImageCompressionMethod": "ISO_15444_1"}, [""], ["ISO_15444_1", "ISO_10918_1"]),
        ({"LossyImageCompressionRatio": [8, 9]}, [8, 9], ["", "", "ISO_10918_1"]),
    ],
)
def test_jpeg_adds_its_own_loss_to_that_of_the_photograph(
    tmp_path: Path, stated: dict[str, Any], ratios: Any, methods: list[str]
) -> None:
    lossy = {"LossyImageCompression": "01", **stated} if stated else {}
    one = image(1, DR=0.9)
    source = photograph(tmp_path / "1", 1, **lossy)
    ds = read(reporter().heatmap(one, shown(PIXELS), said(one), TRAINED, source, encoding=JPEG))
    found = ds.LossyImageCompressionRatio
    values = [found] if isinstance(found, float) else list(found)
    assert ds.LossyImageCompression == "01"
    assert values[:-1] == ([] if ratios == 1 else ratios)
    assert values[-1] == pytest.approx(ds.Rows * ds.Columns * 3 / len(get_frame(ds.PixelData, 0)), rel=0.01)
    found = ds.LossyImageCompressionMethod
    assert ([found] if isinstance(found, str) else list(found)) == methods
    assert codes.LOSSY_COMPRESSION.value in {code.CodeValue for code in ds.DerivationCodeSequence}


def test_pictures_come_in_every_encoding_that_a_destination_takes_and_the_map_where_one_does(tmp_path: Path) -> None:
    one = image(1, DR=0.9)
    source = photograph(tmp_path / "1", 1)
    takes = (
        Target("pacs"),
        Target("archive", Form(heatmap=JPEG)),
        Target("viewer", Form(heatmap=JPEG), frozenset({OutputKind.HEATMAP, OutputKind.MAP})),
    )
    made = Reports(ReportSettings(), lambda: NOW, "1", Routes(takes)).pictures(
        one, shown(PIXELS), said(one), TRAINED, source
    )
    assert [(m.kind, m.form) for m in made] == [
        (OutputKind.HEATMAP, JPEG),
        (OutputKind.HEATMAP, UNCOMPRESSED),
        (OutputKind.MAP, ""),
    ]
    assert len({m.sop_instance_uid for m in made}) == len({m.series_instance_uid for m in made}) == 3
    plain = reporter().pictures(one, shown(PIXELS), said(one), TRAINED, source)
    assert [(m.kind, m.form) for m in plain] == [(OutputKind.HEATMAP, UNCOMPRESSED)]


def test_the_map_has_a_frame_for_each_label_in_the_geometry_of_the_photograph(tmp_path: Path) -> None:
    one = image(2, "L", DR=0.9, RD=0.6)
    crop = Box(20, 10, 52, 42)
    seen = Photograph(PIXELS, PIXELS, crop, 64, 48)
    source = photograph(tmp_path / "1", 2, ImageLaterality="L")
    made = build_map(one, seen, said(one), TRAINED, source, settings=ReportSettings(), now=NOW, software_version="1")
    ds = read(made)
    assert (made.kind, made.sop_class_uid) == (OutputKind.MAP, ds.SOPClassUID)
    assert ds.pixel_array.shape == (2, 48, 64)
    assert list(ds.FrameLabelVector) == ["RD", "DR"]
    assert (ds.ImageLaterality, ds.BurnedInAnnotation, ds.LossyImageCompression) == ("L", "NO", "00")
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == one.sop_instance_uid
    outside = np.ones((48, 64), dtype=bool)
    outside[crop.top : crop.bottom, crop.left : crop.right] = False
    assert not ds.pixel_array[:, outside].any()
    top, left = np.unravel_index(ds.pixel_array[0].argmax(), (48, 64))
    assert ds.pixel_array[0].max() > 230
    # The map's greatest value lies in row 5, column 9 of 12.
    assert abs(top - (crop.top + 5.5 * 32 / 12)) <= 2
    assert abs(left - (crop.left + 9.5 * 32 / 12)) <= 2


def test_a_map_of_one_frame_has_no_vector(tmp_path: Path) -> None:
    one = image(1, DR=0.9)
    source = photograph(tmp_path / "1", 1)
    made = build_map(
        one, shown(PIXELS), said(one), UNTRAINED, source, settings=ReportSettings(), now=NOW, software_version="1"
    )
    ds = read(made)
    assert "FrameLabelVector" not in ds
    assert "Diabetic retinopathy 90.0 %" in ds.ImageComments
    assert ds.ImageComments.startswith("UNTRAINED")


def test_uids_depend_on_image_frame_bundle_and_settings_only(tmp_path: Path) -> None:
    one = image(1, DR=0.9)
    source = photograph(tmp_path / "1", 1)
    first = reporter().heatmap(one, shown(PIXELS), said(one), TRAINED, source)
    later = Reports(ReportSettings(), lambda: NOW + timedelta(days=1), "9.9").heatmap(
        one, shown(PIXELS), said(one), TRAINED, source
    )
    assert (first.sop_instance_uid, first.series_instance_uid) == (later.sop_instance_uid, later.series_instance_uid)
    others = {
        reporter().heatmap_uid(image(2), TRAINED),
        reporter().heatmap_uid(image(1, frame=1), TRAINED),
        reporter().heatmap_uid(one, UNTRAINED),
        reporter(heatmap_labels=1).heatmap_uid(one, TRAINED),
    }
    assert len(others | {first.sop_instance_uid}) == 5
    second = reporter().heatmap(
        image(2, DR=0.9), shown(PIXELS), said(image(2, DR=0.9)), TRAINED, photograph(tmp_path / "2", 2)
    )
    assert second.series_instance_uid == first.series_instance_uid


def test_untrained_and_for_research_only_are_said_in_red_letters(tmp_path: Path) -> None:
    one = image(1, DR=0.9)
    source = photograph(tmp_path / "1", 1)

    def red(bundle: Any) -> int:
        ds = read(reporter().heatmap(one, shown(PIXELS), said(one), bundle, source))
        pixels = ds.pixel_array.astype(int)
        assert ("UNTRAINED" in ds.SeriesDescription) is not bundle.trained
        return int(((pixels[..., 0] > 200) & (pixels[..., 1] < 130) & (pixels[..., 2] < 130)).sum())

    assert red(TRAINED) == 0
    assert red(UNTRAINED) > 300
    assert red(RESEARCH) > 300


def test_one_panel_for_each_label_up_to_the_limit(tmp_path: Path) -> None:
    one = image(1, DR=0.9, RD=0.8, EDN=0.7, ERM=0.6)
    source = photograph(tmp_path / "1", 1)
    areas = []
    for limit in (1, 2, 3):
        ds = read(reporter(heatmap_labels=limit).heatmap(one, shown(PIXELS), said(one), TRAINED, source))
        photograph_grey = (ds.pixel_array == 90).all(axis=2).sum()
        areas.append(photograph_grey / (96 * 128))  # a small photograph is shown twice as large
    assert [round(area) for area in areas] == [2, 3, 4]


@settings(max_examples=60, deadline=None)
@given(
    left=st.integers(0, 60),
    top=st.integers(0, 40),
    width=st.integers(13, 100),
    height=st.integers(13, 100),
    x=st.integers(0, 11),
    y=st.integers(0, 11),
)
def test_the_map_lies_where_the_network_looked(left: int, top: int, width: int, height: int, x: int, y: int) -> None:
    activation = np.zeros((12, 12), dtype=np.float32)
    activation[y, x] = 1.0
    plain = np.full((150, 170, 3), 128, dtype=np.uint8)
    crop = Box(left, top, left + width, top + height)
    painted = overlay(plain, activation, crop)
    changed = np.argwhere((painted != plain).any(axis=2))
    assert changed.size
    # A line of one pixel may run along the outside of the crop.
    assert changed[:, 0].min() >= crop.top - 2
    assert changed[:, 0].max() <= crop.bottom + 1
    assert changed[:, 1].min() >= crop.left - 2
    assert changed[:, 1].max() <= crop.right + 1
    centre = changed.mean(axis=0)
    expected = (crop.top + (y + 0.5) * height / 12, crop.left + (x + 0.5) * width / 12)
    assert abs(centre[0] - expected[0]) <= height / 12 + 2
    assert abs(centre[1] - expected[1]) <= width / 12 + 2


def test_colour_follows_the_activation_and_never_hides_the_photograph() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    opacity = opacity_of(ramp)
    assert opacity[0, 0] == 0.0
    assert opacity.max() == pytest.approx(MAX_OPACITY)
    assert (np.diff(opacity[0]) >= 0).all()
    brightness = colours(ramp)[0].astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) >= -1).all()
    assert brightness[-1] > brightness[0] + 80


def test_a_map_without_any_activation_leaves_the_photograph_alone() -> None:
    plain = np.full((20, 30, 3), 128, dtype=np.uint8)
    assert (overlay(plain, np.zeros((12, 12), dtype=np.float32), Box(0, 0, 30, 20)) == plain).all()


def test_where_nobody_takes_a_heatmap_none_is_made(tmp_path: Path) -> None:
    one, source = image(1, "R", DR=0.9), photograph(tmp_path / "1", 1)
    routes = Routes((Target("record", kinds=frozenset({OutputKind.FHIR})),))
    reports = Reports(ReportSettings(), lambda: NOW, "1.2.3", routes)
    assert reports.pictures(one, shown(PIXELS), said(one), TRAINED, source) == []
