"""What becomes of the shapes that cameras export: real headers, rules and pixel tests; only the network is fake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ocunet_pacs import settings
from ocunet_pacs.app.parts import eligibility_by, gate_rules
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging.prepare import PreparedFiles
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality import QualityLimits
from ocunet_pacs.pipeline.examine import Examined, Source, examine
from tests import exports
from tests.unit.imaging.not_fundus import NOT_FUNDUS
from tests.unit.pipeline.fakes import Classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.result import ImageResult

STUDY = "1.2.826.0.1.7"
CAMERA = {"name": "canon", "ae_title": "CR2"}


def look(
    objects: Sequence[Dataset], folder: Path, *, tree: dict | None = None, source: str = "", limits: bool = True
) -> Examined:
    rules = gate_rules(settings.from_tree(tree or {}))
    return examine(
        [
            Source(str(ds.SOPInstanceUID), str(ds.SOPClassUID), number, path, source)
            for number, (ds, path) in enumerate(zip(objects, exports.save(objects, folder), strict=True), 1)
        ],
        reader=PreparedFiles(PreprocessSpec(), QualityLimits() if limits else None),
        eligibility=eligibility_by(rules),
        classifier=Classifier(),
        reporter=None,
        keep_picture=lambda _made: None,
        batch_size=4,
        alive=lambda: None,
    )


def one(made: Dataset, folder: Path, **how) -> ImageResult:
    (image,) = look([made], folder, **how).images
    return image


@pytest.mark.parametrize(
    ("make", "side"),
    [(exports.canon_op, Laterality.RIGHT), (exports.visucam_op, Laterality.LEFT)],
)
def test_an_ordinary_colour_export_is_assessed_for_its_eye(make: Callable[[str], Dataset], side, tmp_path) -> None:
    image = one(make(STUDY), tmp_path)
    assert image.assessed, image.reasons
    assert image.laterality is side
    assert not image.despite


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (exports.canon_vl, ReasonCode.SOP_CLASS),
        (exports.canon_sc, ReasonCode.SOP_CLASS),
        (exports.visucam_vl, ReasonCode.SOP_CLASS),
        (exports.clarus_wide, ReasonCode.WIDE_FIELD),
        (exports.clarus_infrared, ReasonCode.NOT_COLOUR),
        (exports.clarus_autofluorescence, ReasonCode.NOT_COLOUR),
        (exports.clarus_angiography, ReasonCode.ANGIOGRAPHY),
        (exports.clarus_external_eye, ReasonCode.NOT_RETINA),
        (exports.iolmaster, ReasonCode.NOT_RETINA),
        (exports.optovue_sc, ReasonCode.SOP_CLASS),
        (exports.mislabelled, ReasonCode.NOT_FUNDUS),
        (exports.out_of_focus, ReasonCode.UNGRADABLE),
        (exports.child, ReasonCode.CHILD),
        (exports.calibration, ReasonCode.CALIBRATION),
        (exports.montage, ReasonCode.DERIVED),
        (exports.wide_field_class, ReasonCode.WIDE_FIELD),
        (exports.tomography, ReasonCode.SOP_CLASS),
    ],
)
def test_every_other_export_is_refused_for_its_own_reason(make: Callable[[str], Dataset], code, tmp_path) -> None:
    image = one(make(STUDY), tmp_path)
    assert [reason.code for reason in image.reasons][:1] == [code]
    assert not image.assessed


@pytest.mark.parametrize(
    ("make", "gate", "code"),
    [
        (exports.clarus_wide, "wide_field", ReasonCode.WIDE_FIELD),
        (exports.wide_field_class, "wide_field", ReasonCode.WIDE_FIELD),
        (exports.clarus_external_eye, "other_region", ReasonCode.NOT_RETINA),
        (exports.child, "child", ReasonCode.CHILD),
        (exports.calibration, "calibration", ReasonCode.CALIBRATION),
        (exports.montage, "derived", ReasonCode.DERIVED),
        (exports.mislabelled, "not_fundus", ReasonCode.NOT_FUNDUS),
        (exports.out_of_focus, "ungradable", ReasonCode.UNGRADABLE),
    ],
)
def test_an_open_gate_lets_pass_and_says_what_it_let_pass(make, gate: str, code, tmp_path) -> None:
    image = one(make(STUDY), tmp_path, tree={"eligibility": {"open": [gate]}})
    assert image.assessed
    assert {reason.code for reason in image.despite} == {code}


def test_an_open_pixel_gate_keeps_the_measured_value(tmp_path) -> None:
    image = one(exports.out_of_focus(STUDY), tmp_path, tree={"eligibility": {"open": ["ungradable"]}})
    (reason,) = image.despite
    assert "contrast of the finest structures" in reason.detail
    assert "at least 0.003 is needed" in reason.detail


def test_a_gate_is_opened_for_one_source_alone(tmp_path) -> None:
    tree = {"sources": [CAMERA | {"open": ["vl_photographic", "child"]}, {"name": "other"}]}
    assert one(exports.canon_vl(STUDY), tmp_path, tree=tree, source="canon").assessed
    assert one(exports.child(STUDY), tmp_path, tree=tree, source="canon").assessed
    for source in ("", "other", "unheard-of"):
        assert not one(exports.canon_vl(STUDY), tmp_path, tree=tree, source=source).assessed


def test_a_source_may_close_what_the_site_opened(tmp_path) -> None:
    tree = {"eligibility": {"open": ["child"]}, "sources": [CAMERA | {"close": ["child", "unproven_region"]}]}
    assert one(exports.child(STUDY), tmp_path, tree=tree).assessed
    assert not one(exports.child(STUDY), tmp_path, tree=tree, source="canon").assessed
    silent = exports.photograph(STUDY, AnatomicRegionSequence=[], AcquisitionDeviceTypeCodeSequence=[])
    assert one(silent, tmp_path, tree=tree).assessed
    refused = one(silent, tmp_path, tree=tree, source="canon")
    assert [reason.code for reason in refused.reasons] == [ReasonCode.UNPROVEN_REGION]


VL, SC = "vl_photographic", "secondary_capture"


def test_vl_photographic_needs_codes_or_pixels_that_prove_it(tmp_path) -> None:
    tree = {"eligibility": {"open": [VL]}}
    coded = one(exports.visucam_vl(STUDY), tmp_path, tree=tree)
    assert coded.assessed
    assert not coded.despite, "the class is how it came, and nothing to warn of"
    assert one(exports.canon_vl(STUDY), tmp_path, tree=tree).assessed, "a round field in a fundus's colours"
    dog = exports.canon_vl(STUDY)
    exports._set_pixels(dog, NOT_FUNDUS["slit lamp"](6), jpeg=True)
    eye = exports.photograph(STUDY, NOT_FUNDUS["slit lamp"](6))
    assert one(eye, tmp_path).assessed, "it passes the ordinary pixel test, which is why VL gets a stricter one"
    assert [reason.code for reason in one(dog, tmp_path, tree=tree).reasons][:1] == [ReasonCode.NOT_FUNDUS]


def test_a_secondary_capture_needs_a_code_or_a_source_that_the_site_vouches_for(tmp_path) -> None:
    site, named = {"eligibility": {"open": [SC]}}, {"sources": [CAMERA | {"open": [SC]}]}
    refused = one(exports.canon_sc(STUDY), tmp_path, tree=site)
    assert [reason.code for reason in refused.reasons] == [ReasonCode.UNPROVEN_REGION]
    coded = exports.canon_sc(STUDY)
    coded.AnatomicRegionSequence = [exports.code(*exports.RETINA)]
    assert one(coded, tmp_path, tree=site).assessed
    assert one(exports.canon_sc(STUDY), tmp_path, tree=named, source="canon").assessed
    page = exports.optovue_sc(STUDY)
    page.ImageType = ["ORIGINAL", "SECONDARY"]
    assert [reason.code for reason in one(page, tmp_path, tree=named, source="canon").reasons][:1] == [
        ReasonCode.NOT_FUNDUS
    ]


def test_pixels_that_nobody_measured_prove_nothing(tmp_path) -> None:
    """A bundle without limits scores what its header vouches for, and nothing else."""
    tree = {"sources": [CAMERA | {"open": [SC, VL]}]}
    assert one(exports.canon_op(STUDY), tmp_path, limits=False).assessed
    for make in (exports.canon_sc, exports.canon_vl):
        image = one(make(STUDY), tmp_path, tree=tree, source="canon", limits=False)
        assert [reason.code for reason in image.reasons] == [ReasonCode.NOT_FUNDUS]


EVERY_GATE = [
    *("vl_photographic", "secondary_capture", "wide_field", "derived", "calibration", "other_region"),
    *("unproven_region", "not_colour", "angiography", "child", "not_fundus", "ungradable"),
]


@pytest.mark.parametrize("mark", ["equipment", "contributing equipment", "series"])
def test_our_own_output_passes_no_gate_at_all(mark: str, tmp_path) -> None:
    ours = exports.canon_sc(STUDY)
    equipment = Dataset()
    equipment.Manufacturer, equipment.ManufacturerModelName = "OcuNet", "ocunet_pacs"
    if mark == "equipment":
        ours.Manufacturer, ours.ManufacturerModelName = "OcuNet", "ocunet_pacs"
    elif mark == "series":
        ours.SeriesDescription = "OcuNet AI heatmaps"
    else:
        ours.ContributingEquipmentSequence = [equipment]
    image = one(ours, tmp_path, tree={"sources": [CAMERA | {"open": EVERY_GATE}]}, source="canon")
    assert [reason.code for reason in image.reasons] == [ReasonCode.OWN_OUTPUT]


def test_pixels_are_asked_before_field_and_age(tmp_path) -> None:
    """The order of the facts: of a child's picture that is no fundus, that it is none is said."""
    image = one(exports.photograph(STUDY, exports.red_free(), PatientAge="009Y"), tmp_path)
    assert {reason.code for reason in image.reasons} == {ReasonCode.NOT_FUNDUS}


def test_each_frame_has_its_own_eye_and_its_own_fate(tmp_path) -> None:
    made = exports.both_eyes(STUDY)
    images = look([made], tmp_path).images
    assert [(image.frame, image.laterality.value, image.assessed) for image in images] == [
        (1, "R", True),
        (2, "L", True),
    ]
    spoiled = exports.photograph(STUDY, np.stack([exports.fundus(3), exports.blurred()]))
    first, second = look([spoiled], tmp_path).images
    assert first.assessed
    assert [reason.code for reason in second.reasons] == [ReasonCode.UNGRADABLE]


def test_a_child_of_many_frames_is_one_refusal(tmp_path) -> None:
    made = exports.photograph(STUDY, np.stack([exports.fundus(3), exports.fundus(4)]), PatientAge="009Y")
    (image,) = look([made], tmp_path).images
    assert (image.frame, image.reasons[0].code) == (None, ReasonCode.CHILD)


def test_a_stereo_pair_is_assessed_twice_and_its_relationship_is_context(tmp_path) -> None:
    left, right, joined = exports.stereo_pair(STUDY)
    examined = look([left, right, joined], tmp_path)
    assert [image.assessed for image in examined.images] == [True, True, False]
    assert examined.images[2].is_context
    assert examined.stereo_pairs == ((left.SOPInstanceUID, right.SOPInstanceUID),)
