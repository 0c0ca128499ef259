"""What a camera does to its photographs shows in how they look; what an eye does, hardly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ocunet_pacs.domain.drift import MIDDLE, OUTSIDE, PATTERN_SIDE
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.appearance import measure_appearance
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.quality import small_copy

SIZE = (512, 384)


def drawn(seed: int = 1) -> np.ndarray:
    return draw_fundus(seed=seed, laterality=(Laterality.RIGHT, Laterality.LEFT)[seed % 2], size=SIZE)


def appearance(rgb: np.ndarray, pixels: int = 512) -> tuple[dict[str, float], np.ndarray]:
    small, outline = small_copy(rgb)
    found = measure_appearance(small, outline.field, pixels)
    return dict(found.values), found.pattern


def dusty(rgb: np.ndarray, at: tuple[int, int], radius: int = 9) -> np.ndarray:
    """A spot out of focus on the lens, a third darker than around."""
    shade = np.zeros(rgb.shape[:2], np.float32)
    cv2.circle(shade, at, radius, 1.0, -1)
    shade = 1 - 0.35 * cv2.GaussianBlur(shade, (0, 0), 3)
    return (rgb * shade[:, :, None]).astype(np.uint8)


def test_the_values_of_a_picture_of_known_levels() -> None:
    rgb = np.zeros((384, 512, 3), np.uint8)
    cv2.circle(rgb, (256, 192), 180, (200, 100, 50), -1)
    values, pattern = appearance(rgb, 4000)
    assert [values[name] for name in ("red", "green", "blue")] == pytest.approx([200, 100, 50], abs=1)
    assert (values["low"], values["high"], values["pixels"]) == (100, 100, 4000)
    assert values["contrast"] < 0.01
    assert values["detail"] < 0.001
    assert values["evenness"] == pytest.approx(1, abs=0.02)
    assert pattern.shape == (PATTERN_SIDE, PATTERN_SIDE, 1)
    assert set(np.unique(pattern)) == {OUTSIDE, MIDDLE}
    assert pattern[0, 0, 0] == OUTSIDE
    assert pattern[PATTERN_SIDE // 2, PATTERN_SIDE // 2, 0] == MIDDLE


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("detail", lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 4)),
        ("contrast", lambda rgb: (0.6 * rgb + 45 * (rgb.max(axis=2, keepdims=True) > 30)).astype(np.uint8)),
        ("red", lambda rgb: (rgb * np.array([0.8, 1, 1])).astype(np.uint8)),
        ("high", lambda rgb: (rgb * 0.8).astype(np.uint8)),
    ],
)
def test_what_a_camera_changes_outweighs_the_difference_of_eyes(name: str, changed: object) -> None:
    eyes = [drawn(seed) for seed in range(6)]
    before = [appearance(eye)[0][name] for eye in eyes]
    after = [appearance(changed(eye))[0][name] for eye in eyes]
    assert max(after) < min(before)


def test_what_stays_in_its_place_is_what_the_mean_over_many_eyes_shows() -> None:
    eyes = [drawn(seed) for seed in range(24)]
    spot = (300, 120)
    clean, dirty = (
        np.mean([appearance(each(eye))[1].astype(float) for eye in eyes], axis=0)[:, :, 0]
        for each in (lambda eye: eye, lambda eye: dusty(eye, spot))
    )
    change = clean - dirty
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert (row * 12 <= spot[1] < row * 12 + 12, column * 16 <= spot[0] < column * 16 + 16) == (True, True)
    assert change.max() > 20, "a sixth of the scale"
    away = np.ones_like(change, bool)
    away[row - 3 : row + 4, column - 3 : column + 4] = False
    assert np.abs(change[away]).max() < 3


def test_a_picture_without_a_field_has_no_appearance() -> None:
    values, pattern = appearance(np.zeros((384, 512, 3), np.uint8))
    assert values == {}
    assert (pattern == OUTSIDE).all()
