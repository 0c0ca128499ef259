"""The 384 x 384 pixels that the weights were validated on, byte for byte."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.decode import frames, read_photograph
from ocunet_pacs.imaging.preprocess import PreprocessSpec, apply
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.shared

IMAGES = (
    "fullres/hrf-0273a9f3e71a.jpg",
    "fullres/hrf-7ab2b3a1bd87.jpg",
    "fullres/hrf-c02d869abc2a.jpg",
    "fullres/idrid-34bf332d5e7d.jpg",
    "fullres/idrid-60083dd0e994.jpg",
    "fullres/idrid-7d6569249def.jpg",
    "fullres/idrid-8cbb3482b62a.jpg",
    "fullres/idrid-d09ec72a5fcb.jpg",
    "fullres/idrid-ff153323008a.jpg",
    "fundus/images/kaggle4class-0042487fe0bf.jpg",
    "fundus/images/kaggle4class-ffcd6f6c69c5.jpg",
    "fundus/images/tvhl-0109dc3166c5.jpg",
    "fundus/images/tvhl-ffe37b7daba1.jpg",
    "fundus/images/palm-03c56e0f47de.jpg",
    "fundus/images/palm-fe77c2b85984.jpg",
    "fundus/images/rahim-00fa68f470de.jpg",
    "fundus/images/rahim-fd880b52cc30.jpg",
    "fundus/images/diaretdb1-1cc903482aaf.jpg",
    "fundus/images/diaretdb1-f85c28c70ace.jpg",
)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, dict]:
    oracle = json.loads((shared / "reference" / "golden.json").read_text())
    return {entry["image"]: entry for entry in oracle["images"]}


def test_every_image_of_the_oracle_is_tested(golden):
    assert set(golden) == set(IMAGES)


@pytest.mark.parametrize("name", IMAGES)
def test_a_photograph_gives_the_very_pixels_that_the_weights_expect(shared, golden, name):
    preprocessed = apply(PreprocessSpec(), read_photograph(shared / "data" / name))

    crop = preprocessed.crop
    assert [crop.right - crop.left, crop.bottom - crop.top] == golden[name]["crop"]
    assert hashlib.sha256(preprocessed.pixels.tobytes()).hexdigest() == golden[name]["sha256_384_rgb"]


@pytest.mark.parametrize("name", [IMAGES[0], IMAGES[3], *IMAGES[9:]])
def test_and_so_does_the_same_photograph_as_dicom(shared, golden, name, tmp_path):
    ds = wrap_photograph(
        shared / "data" / name,
        laterality=Laterality.RIGHT,
        patient_id="1",
        patient_name="",
        study_instance_uid="1.2",
        series_instance_uid="1.2.1",
        sop_instance_uid="1.2.1.1",
        instance_number=1,
        now=datetime(2024, 1, 1, tzinfo=UTC),
    )
    write_dicom(ds, tmp_path / "wrapped.dcm")
    (frame,) = frames(tmp_path / "wrapped.dcm")

    preprocessed = apply(PreprocessSpec(), frame)

    assert hashlib.sha256(preprocessed.pixels.tobytes()).hexdigest() == golden[name]["sha256_384_rgb"]
