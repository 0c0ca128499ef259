"""Fields and hashes: the reference's bits, the same field whatever the exposure, turns that mean what they say."""

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from training.data.field import COARSE, SIDE, SMALL, TURNS, Turn, coarse, dct_hashes, fine, green_field, hashes, small
from training.data.registration import lay, lay_quickly, likeness


@pytest.fixture(scope="module")
def eye():
    return draw_fundus(seed=3, laterality=Laterality.RIGHT, size=(384, 288))


def registered(one, other, turn):
    laid = lay_quickly(small(coarse(one)), small(coarse(other)), turn)
    return lay(coarse(one), coarse(other), laid)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_hashes_are_those_of_the_reference(seed):
    grey = np.random.default_rng(seed).integers(0, 256, (SMALL, SMALL)).astype(np.uint8)
    expected = np.packbits(imagehash.phash(Image.fromarray(grey)).hash).view(np.uint64)
    assert dct_hashes(grey[None].astype(np.float32)) == expected


def test_there_is_one_hash_for_each_turn_and_that_of_a_turned_eye_is_among_them(eye):
    found = hashes(green_field(eye))
    assert found.shape == (len(TURNS),)
    for view in (eye[:, ::-1], eye[::-1], eye[::-1, ::-1], np.rot90(eye)):
        assert np.bitwise_count(found ^ hashes(green_field(np.ascontiguousarray(view)))[0]).min() <= 4


@pytest.mark.parametrize("exposure", [0.5, 0.8, 1.3])
def test_the_field_is_the_same_whatever_the_exposure(eye, exposure):
    other = np.clip(eye * exposure, 0, 255).astype(np.uint8)
    assert np.vdot(coarse(green_field(eye)), coarse(green_field(other))) > 0.9


def test_the_field_is_found_without_its_black_surround(eye):
    framed = cv2.copyMakeBorder(eye, 90, 20, 40, 10, cv2.BORDER_CONSTANT)
    assert np.vdot(coarse(green_field(eye)), coarse(green_field(framed))) > 0.95


@pytest.mark.parametrize("grey", [0, 128])
def test_a_picture_without_anything_in_it_has_a_field_all_the_same(grey):
    green = green_field(np.full((64, 80, 3), grey, np.uint8))
    assert green.shape == (SIDE, SIDE)
    assert hashes(green).shape == (len(TURNS),)
    assert np.isfinite(fine(green)).all()


@given(st.booleans(), st.integers(0, 359))
@settings(deadline=None, max_examples=40)
def test_registration_says_how_the_one_was_turned_into_the_other(mirrored, angle):
    picture = green_field(draw_small(5))
    seen = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
    middle = (SIDE - 1) / 2
    other = cv2.warpAffine(seen, cv2.getRotationMatrix2D((middle, middle), angle, 1.0), (SIDE, SIDE))
    laid = registered(picture, other, Turn(mirrored, round(angle, -1) % 360))
    assert laid.turn[0] is mirrored
    assert min(abs(laid.turn[1] - angle), 360 - abs(laid.turn[1] - angle)) <= 1
    assert likeness(fine(picture), fine(other), laid) > 0.8


def draw_small(seed, _kept={}):  # noqa: B006 -- drawn once
    if seed not in _kept:
        _kept[seed] = draw_fundus(seed=seed, laterality=Laterality.LEFT, size=(320, 240))
    return _kept[seed]


def test_another_eye_is_not_alike_however_it_is_laid():
    one, other = green_field(draw_small(1)), green_field(draw_small(2))
    for turn in TURNS[::6]:
        laid = lay_quickly(small(coarse(one)), small(coarse(other)), turn)
        laid = laid and lay(coarse(one), coarse(other), laid)
        assert laid is None or likeness(fine(one), fine(other), laid) < 0.35


def test_fields_are_of_norm_one_and_nothing_is_outside_the_disc(eye):
    for field, side in ((coarse(green_field(eye)), COARSE), (fine(green_field(eye)), SIDE)):
        assert field.shape == (side, side)
        assert np.linalg.norm(field) == pytest.approx(1.0, abs=1e-5)
        assert not field[0].any()
        assert abs(field.sum()) < 1e-2
