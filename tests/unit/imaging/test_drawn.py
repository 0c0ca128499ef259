"""Drawn fundus photographs: the same every time, the right way round, and taken for photographs by the product."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.fundus import crop_box

SIZE = (320, 240)


def draw(seed=1, laterality=Laterality.RIGHT, lesions=()):
    return draw_fundus(seed=seed, laterality=laterality, size=SIZE, lesions=lesions)


def test_the_seed_decides_everything():
    np.testing.assert_array_equal(draw(seed=3), draw(seed=3))
    assert (draw(seed=3) != draw(seed=4)).mean() > 0.3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("laterality", [Laterality.RIGHT, Laterality.LEFT])
def test_the_disc_is_on_the_nasal_side(seed, laterality):
    blurred = cv2.GaussianBlur(draw(seed, laterality), (0, 0), 5)
    row, column = np.unravel_index(blurred.sum(axis=2, dtype=int).argmax(), blurred.shape[:2])
    assert (column > SIZE[0] / 2) == (laterality is Laterality.RIGHT)
    assert 0.35 < row / SIZE[1] < 0.65


@pytest.mark.parametrize("seed", range(3))
def test_a_round_orange_field_on_black(seed):
    rgb = draw(seed).astype(float)
    assert rgb[:8, :8].max() < 12
    assert rgb[-8:, -8:].max() < 12
    red, green, blue = rgb[90:150, 130:190].reshape(-1, 3).mean(axis=0)
    assert red > 1.5 * green > 2 * blue
    box = crop_box(draw(seed))
    assert (box.right - box.left, box.bottom - box.top) == (pytest.approx(256, abs=8), 240)


@pytest.mark.parametrize("lesion", Lesion)
def test_each_lesion_changes_the_field_and_only_the_field(lesion):
    healthy, ill = draw(), draw(lesions=[lesion])
    differs = (healthy != ill).any(axis=2)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    outside = np.hypot(x - 159.5, y - 119.5) > 0.485 * 240 + 4
    assert differs.sum() > 50
    assert not differs[outside].any()


def test_haze_takes_the_detail_away():
    def detail(rgb):
        return cv2.Laplacian(cv2.GaussianBlur(rgb[60:180, 80:240, 1], (0, 0), 1.5), cv2.CV_64F).var()

    assert detail(draw(lesions=[Lesion.MEDIA_HAZE])) < 0.5 * detail(draw())


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="right or a left"):
        draw(laterality=Laterality.UNKNOWN)
    with pytest.raises(ValueError, match="too few"):
        draw_fundus(seed=1, laterality=Laterality.LEFT, size=(63, 200))
