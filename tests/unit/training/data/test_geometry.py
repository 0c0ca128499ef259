"""What moves pixels, against SciPy's resampling; and that a fundus stays upright."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from training.data.geometry import forward_map, warped
from training.data.variation import Operation, Variation, draw_variation
from training.recipe import Augmentation

SIDE = 64


def still(**chosen) -> Variation:
    nothing = {
        "operations": (), "flipped": False, "rotation": 0.0, "shear": 0.0, "zoom": 1.0, "place": (0.0, 0.0),
        "jitter": (), "hue": 0.0, "erased": None,
    }  # fmt: skip
    return Variation(**(nothing | chosen))


@pytest.fixture(scope="module")
def eye() -> torch.Tensor:
    drawn = draw_fundus(seed=3, laterality=Laterality.LEFT, size=(SIDE, SIDE))
    return torch.from_numpy(drawn.copy()).permute(2, 0, 1)[None]


def resampled(picture: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """One channel by SciPy, which thinks in rows and columns of pixels from the first one's middle."""
    middle = (SIDE - 1) / 2
    to_units = np.array([[0, 2 / SIDE, -middle * 2 / SIDE], [2 / SIDE, 0, -middle * 2 / SIDE], [0, 0, 1]])
    back = np.linalg.inv(to_units) @ np.linalg.inv(forward) @ to_units
    return affine_transform(picture.astype(np.float64), back, order=1, mode="grid-constant", cval=0.0)


@pytest.mark.parametrize("seed", range(6))
def test_a_drawn_map_is_what_scipy_makes_of_it(eye, seed):
    forward = forward_map(draw_variation(Augmentation(shear=15.0), seed))
    ours = warped(eye, [forward], SIDE)[0].numpy().astype(float)
    theirs = np.stack([resampled(channel, forward) for channel in eye[0].numpy()])
    assert np.abs(ours - theirs).max() <= 0.51


def test_each_part_moves_a_point_where_its_name_says():
    right, up = np.array([1.0, 0.0, 1.0]), np.array([0.0, -1.0, 1.0])
    for variation, point, goes in (
        (still(flipped=True), right, [-1, 0]),
        (still(rotation=90.0), right, [0, -1]),
        (still(zoom=0.8), up, [0, -0.8]),
        (still(shear=45.0), up, [-1, -1]),
        (still(zoom=1.5, place=(1.0, -1.0)), right, [1, 0.5]),
        (still(zoom=0.5, place=(1.0, -1.0)), right, [0.5, 0]),
        (still(operations=((Operation.TRANSLATE_X, 0.25),)), up, [0.5, -1]),
        (still(operations=((Operation.TRANSLATE_Y, -0.25),)), right, [1, -0.5]),
        (still(operations=((Operation.SHEAR_Y, 0.3),)), right, [1, 0.3]),
        (still(operations=((Operation.ROTATE, -90.0), (Operation.TRANSLATE_X, 0.5))), up, [2, 0]),
        (still(operations=((Operation.EQUALIZE, 0.0),)), up, [0, -1]),
    ):
        assert (forward_map(variation) @ point)[:2] == pytest.approx(goes, abs=1e-12)


def test_a_picture_is_flipped_half_the_time_and_never_turned_upside_down():
    mirrored = 0
    for seed in range(2000):
        forward = forward_map(draw_variation(Augmentation(shear=20.0), seed))
        assert forward[1, 1] > 0  # what was above the middle stays above it
        mirrored += forward[0, 0] < 0
    assert 900 < mirrored < 1100


def test_the_upper_half_of_a_marked_picture_stays_above():
    marked = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    marked[:, :, : SIDE // 2] = 200
    for seed in range(200):
        seen = warped(marked, [forward_map(draw_variation(Augmentation(), seed))], SIDE).float()
        assert seen[:, :, : SIDE // 2].mean() > seen[:, :, SIDE // 2 :].mean()


def test_nothing_to_move_leaves_every_bit(eye):
    assert torch.equal(warped(eye, [forward_map(still())], SIDE), eye)
    mirrored = warped(torch.cat([eye, eye]), [forward_map(still()), forward_map(still(flipped=True))], SIDE)
    assert torch.equal(mirrored, torch.cat([eye, eye.flip(3)]))


def test_zooming_in_shows_a_part_of_the_picture_and_nothing_beside_it():
    white = torch.full((1, 3, SIDE, SIDE), 255, dtype=torch.uint8)
    for place in ((-1.0, -1.0), (1.0, 0.3), (0.0, 1.0)):
        seen = warped(white, [forward_map(still(zoom=1.4, place=place))], SIDE)
        assert (seen[:, :, 1:-1, 1:-1] == 255).all()  # at the picture's very edge half a pixel is beside it
    assert (warped(white, [forward_map(still(zoom=0.8))], SIDE)[:, :, 0] == 0).all()


def test_a_larger_cached_picture_gives_detail_to_a_zoom_and_no_false_pattern_without_one():
    stripes = torch.zeros(1, 3, 2 * SIDE, 2 * SIDE, dtype=torch.uint8)
    stripes[:, :, :, ::2] = 255
    near = warped(stripes, [forward_map(still(zoom=2.0))], SIDE)
    assert near.shape[-1] == SIDE
    assert near[:, :, :, ::2].float().mean() - near[:, :, :, 1::2].float().mean() == pytest.approx(255, abs=2)
    for zoom in (1.0, 0.8):
        far = warped(stripes, [forward_map(still(zoom=zoom))], SIDE).float()[:, :, 8:-8, 8:-8]
        assert (far - 127.5).abs().max() < 32
    together = warped(stripes.expand(2, -1, -1, -1), [forward_map(still(zoom=zoom)) for zoom in (1.0, 2.0)], SIDE)
    assert torch.equal(together[1], near[0])
