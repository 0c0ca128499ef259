"""A heatmap on a page: painted where the network looked, on a picture that is still the photograph."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from ocunet_pacs.domain.result import Box
from training.evaluation.overlay import jpeg_uri, overlay, scaled

GREY = np.full((60, 100, 3), 120, np.uint8)
CROP = Box(20, 10, 80, 50)


def test_the_map_is_painted_over_the_crop_and_nowhere_else() -> None:
    painted = overlay(GREY, np.ones((4, 4), np.float32), CROP)
    changed = (painted != GREY).any(axis=2)
    inside = np.zeros_like(changed)
    inside[10:50, 20:80] = True
    assert changed[inside].all()
    # The line around half of the maximum may touch the pixels beside the crop.
    assert not changed[:8].any()
    assert not changed[52:].any()
    assert not changed[:, :18].any()
    assert not changed[:, 82:].any()


def test_a_corner_of_the_map_is_that_corner_of_the_crop() -> None:
    activation = np.zeros((8, 8), np.float32)
    activation[1, 6] = 1.0
    changed = (overlay(GREY, activation, CROP) != GREY).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert abs(rows.mean() - (10 + 40 * 1.5 / 8)) < 2
    assert abs(columns.mean() - (20 + 60 * 6.5 / 8)) < 2


def test_an_empty_map_leaves_the_photograph() -> None:
    assert np.array_equal(overlay(GREY, np.zeros((3, 3), np.float32), CROP), GREY)


def test_a_scaled_picture_takes_its_crop_along() -> None:
    small, crop = scaled(np.zeros((600, 1000, 3), np.uint8), Box(200, 100, 800, 500), 250)
    assert small.shape == (150, 250, 3)
    assert crop == Box(50, 25, 200, 125)
    same, crop = scaled(GREY, CROP, 250)
    assert np.array_equal(same, GREY)
    assert crop == CROP


def test_a_picture_in_the_page_is_a_jpeg_of_it() -> None:
    kind, _, content = jpeg_uri(np.dstack([np.full((20, 30), level, np.uint8) for level in (200, 90, 40)])).partition(
        ","
    )
    assert kind == "data:image/jpeg;base64"
    again = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(again.astype(int) - np.array([40, 90, 200])).max() < 6
