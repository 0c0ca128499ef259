"""The spec that travels with the weights, and the crop's odd cases."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.result import Box
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.fundus import crop_box
from ocunet_pacs.imaging.preprocess import PreprocessSpec, apply, to_tensor_array

finite = st.floats(-10, 10)
specs = st.builds(
    PreprocessSpec,
    roi_crop=st.booleans(),
    roi_padding=st.floats(0, 1),
    clahe=st.booleans(),
    clahe_clip_limit=st.floats(0.1, 40),
    clahe_tiles=st.integers(1, 64),
    image_size=st.integers(32, 4096),
    mean=st.tuples(finite, finite, finite),
    std=st.tuples(*[st.floats(0.01, 10)] * 3),
)


@given(specs)
def test_a_spec_survives_its_manifest(spec):
    assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sharpen": True}, "unknown key 'sharpen'"),
        ({"clahe": 1}, "'clahe' is not a bool"),
        ({"image_size": 384.0}, "'image_size' is not a int"),
        ({"roi_padding": "0.05"}, "'roi_padding' is not a float"),
        ({"mean": [0.5, 0.5]}, "'mean' is not a Triple"),
        ({"std": [0.2, 0.0, 0.2]}, "std must be positive"),
        ({"roi_padding": -0.1}, "roi_padding must be 0 to 1"),
        ({"clahe_clip_limit": float("nan")}, "clahe_clip_limit must be positive"),
    ],
)
def test_a_manifest_that_is_not_understood_whole_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        PreprocessSpec.from_dict({**PreprocessSpec().to_dict(), **change})


def test_a_manifest_must_name_every_choice():
    values = PreprocessSpec().to_dict()
    del values["clahe_tiles"]
    with pytest.raises(ValueError, match="missing key 'clahe_tiles'"):
        PreprocessSpec.from_dict(values)


def test_the_crop_is_the_field_and_its_padding():
    rgb = draw_fundus(seed=1, laterality=Laterality.LEFT, size=(900, 500))
    box = crop_box(rgb, 0.05)
    # The field is a circle of 0.97 times the height, in the middle.
    assert box.left == pytest.approx(450 - 242 - 24, abs=6)
    assert box.right == pytest.approx(450 + 242 + 24, abs=6)
    assert (box.top, box.bottom) == (0, 500)


@pytest.mark.parametrize("level", [0, 15, 128, 255])
def test_an_image_without_a_field_stays_whole(level):
    flat = np.full((90, 120, 3), level, np.uint8)
    assert crop_box(flat) == Box(0, 0, 120, 90)


def test_a_speck_is_no_field():
    rgb = np.zeros((400, 400, 3), np.uint8)
    rgb[100:140, 100:140] = 200
    assert crop_box(rgb) == Box(0, 0, 400, 400)


@given(st.integers(64, 200), st.integers(64, 200), st.integers(0, 2**32 - 1))
def test_any_image_gives_a_square_of_finite_numbers(width, height, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = rgb.copy()
    spec = PreprocessSpec(image_size=48)

    preprocessed = apply(spec, rgb)
    tensor = to_tensor_array(spec, preprocessed.pixels)

    assert preprocessed.pixels.shape == (48, 48, 3)
    assert preprocessed.pixels.dtype == np.uint8
    box = preprocessed.crop
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height
    assert tensor.shape == (3, 48, 48)
    assert tensor.dtype == np.float32
    assert np.isfinite(tensor).all()
    np.testing.assert_array_equal(rgb, before)


def test_the_tensor_is_channels_first_and_normalised():
    spec = PreprocessSpec(mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 1] = (255, 255, 255)
    tensor = to_tensor_array(spec, pixels)
    np.testing.assert_allclose(tensor[:, 0, 1], [1.0, 1.0, 0.0])
    np.testing.assert_allclose(tensor[:, 1, 0], [0.0, -1.0, -4.0])


def test_switched_off_steps_leave_the_pixels_alone(photograph):
    spec = PreprocessSpec(roi_crop=False, clahe=False, image_size=photograph.shape[0])
    square = np.ascontiguousarray(photograph[:, : photograph.shape[0]])
    preprocessed = apply(spec, square)
    np.testing.assert_array_equal(preprocessed.pixels, square)
    assert preprocessed.crop == Box(0, 0, square.shape[1], square.shape[0])


def test_clahe_touches_green_alone(photograph):
    off = apply(PreprocessSpec(clahe=False), photograph).pixels
    on = apply(PreprocessSpec(), photograph).pixels
    np.testing.assert_array_equal(on[:, :, [0, 2]], off[:, :, [0, 2]])
    assert (on[:, :, 1] != off[:, :, 1]).any()


@pytest.mark.parametrize("size", [(900, 600), (301, 203), (203, 301)])
def test_an_array_that_nobody_needs_any_more_gives_the_same_pixels(size):
    rgb = draw_fundus(seed=2, laterality=Laterality.RIGHT, size=size)
    before = rgb.copy()
    kept = apply(PreprocessSpec(), rgb)
    np.testing.assert_array_equal(rgb, before, "a photograph is only written over where the caller allows it")
    read_only = rgb.copy()
    read_only.flags.writeable = False
    for given_up in (rgb, read_only):
        used = apply(PreprocessSpec(), given_up, reuse=True)
        assert used.crop == kept.crop
        np.testing.assert_array_equal(used.pixels, kept.pixels)


@pytest.mark.parametrize("turn", [np.s_[::-1], np.s_[:, ::-1], np.s_[::2, ::3], np.s_[5:-7, 11:-13]])
def test_pixels_do_not_depend_on_how_an_array_lies_in_memory(turn):
    rgb = draw_fundus(seed=3, laterality=Laterality.LEFT, size=(420, 360))[turn]
    for clahe in (True, False):
        spec = PreprocessSpec(clahe=clahe)
        np.testing.assert_array_equal(apply(spec, rgb).pixels, apply(spec, np.ascontiguousarray(rgb)).pixels)


def test_a_tensor_holds_the_formulas_own_float32_numbers():
    spec = PreprocessSpec()
    pixels = np.random.default_rng(4).integers(0, 256, (32, 32, 3), np.uint8)
    scaled = pixels.astype(np.float32) / np.float32(255)
    expected = (scaled - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    np.testing.assert_array_equal(to_tensor_array(spec, pixels), expected.transpose(2, 0, 1))
