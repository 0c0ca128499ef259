"""What can be wrong with a drawn fundus. Drawn to be told apart by eye, not to train anything with."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ocunet_pacs.imaging.drawn_scene import cloud, mix, smooth

if TYPE_CHECKING:
    from collections.abc import Collection

    from ocunet_pacs.imaging.drawn_scene import Canvas, Scene


class Lesion(StrEnum):
    """What `draw_fundus` can add."""

    MICROANEURYSMS = "microaneurysms"
    HAEMORRHAGES = "haemorrhages"
    HARD_EXUDATES = "hard_exudates"
    COTTON_WOOL_SPOTS = "cotton_wool_spots"
    DRUSEN = "drusen"
    CUPPING = "cupping"
    MEDIA_HAZE = "media_haze"


_BLOOD = (0.36, 0.045, 0.03)
_LIPID = (0.98, 0.86, 0.46)
_DRUSEN = (0.95, 0.70, 0.36)
_COTTON = (0.97, 0.88, 0.74)


def add_lesions(rng: np.random.Generator, scene: Scene, image: Canvas, lesions: Collection[Lesion]) -> None:
    """Paint everything but cupping (the disc's own) and haze (`veil`), in place."""
    if Lesion.DRUSEN in lesions:
        _spots(rng, scene, image, (90, 0.22), (0.005, 0.014), _DRUSEN, 0.58)
    if Lesion.COTTON_WOOL_SPOTS in lesions:
        _cotton(rng, scene, image)
    if Lesion.HARD_EXUDATES in lesions:
        _exudates(rng, scene, image)
    if Lesion.HAEMORRHAGES in lesions:
        _haemorrhages(rng, scene, image)
    if Lesion.MICROANEURYSMS in lesions:
        _spots(rng, scene, image, (45, 0.55), (0.0035, 0.0075), _BLOOD, 0.72)


def veil(rng: np.random.Generator, scene: Scene, image: Canvas) -> Canvas:
    """The picture through an opaque lens: blurred, greenish grey, flat."""
    hazy = cv2.GaussianBlur(image, (0, 0), scene.radius / 55).astype(np.float32)
    density = np.clip(0.52 + 0.07 * cloud(rng, scene, 0.8, 2), 0.3, 0.75)
    mix(hazy, (0.55, 0.42, 0.26), density)
    return hazy * np.float32(0.80)


def _place(rng: np.random.Generator, scene: Scene, spread: float) -> tuple[float, float]:
    """A point around the macula, inside the field and off the disc."""
    while True:
        x, y = scene.fovea[0] + rng.normal(0, spread), scene.fovea[1] + rng.normal(0, spread)
        clear_of_disc = np.hypot(x - scene.disc[0], y - scene.disc[1]) > 1.5 * scene.disc_radius
        if np.hypot(x, y) < 0.88 and clear_of_disc:
            return x, y


def _blob(scene: Scene, point: tuple[float, float], radius: float, softness: float, ragged: Canvas) -> Canvas:
    """A spot of ragged outline; `softness` is the width of its edge as a share of its radius."""
    return smooth(1 - softness, 1 + softness, scene.distance(point) / np.float32(radius) * (1 + ragged))


def _spots(
    rng: np.random.Generator,
    scene: Scene,
    image: Canvas,
    how: tuple[int, float],
    radii: tuple[float, float],
    colour: tuple[float, float, float],
    strength: float,
) -> None:
    """Many small round spots; `how` is their number and their spread around the fovea."""
    count, spread = how
    share = np.zeros((scene.height, scene.width), np.float32)
    scale = 4
    for _ in range(count):
        column, row = scene.pixel(*_place(rng, scene, spread))
        radius = rng.uniform(*radii) * scene.radius
        layer = np.zeros_like(share)
        centre = (round(column * 16), round(row * 16))
        cv2.circle(layer, centre, max(8, round(radius * 16)), float(rng.uniform(0.6, 1.0)), -1, cv2.LINE_AA, scale)
        share = np.maximum(share, layer)
    soft = cv2.GaussianBlur(share, (0, 0), max(0.6, scene.radius * radii[0] * 0.6))
    mix(image, colour, strength * np.asarray(soft, np.float32))


def _haemorrhages(rng: np.random.Generator, scene: Scene, image: Canvas) -> None:
    ragged = 0.16 * cloud(rng, scene, 0.03, 3)
    share = np.zeros((scene.height, scene.width), np.float32)
    for _ in range(14):
        blot = _blob(scene, _place(rng, scene, 0.42), rng.uniform(0.010, 0.034), 0.25, ragged)
        share = np.maximum(share, blot * np.float32(rng.uniform(0.75, 1.0)))
    for _ in range(4):
        share = np.maximum(share, _flame(rng, scene, ragged))
    mix(image, _BLOOD, 0.82 * share)


def _flame(rng: np.random.Generator, scene: Scene, ragged: Canvas) -> Canvas:
    """A haemorrhage in the nerve fibre layer: drawn out along the fibres, feathered at its ends."""
    x, y = _place(rng, scene, 0.40)
    direction = np.arctan2(y - scene.disc[1], x - scene.disc[0])
    dx, dy = scene.x - x, scene.y - y
    along = (dx * np.cos(direction) + dy * np.sin(direction)) / rng.uniform(0.05, 0.08)
    across = (dy * np.cos(direction) - dx * np.sin(direction)) / rng.uniform(0.010, 0.018)
    return smooth(0.6, 1.25, (np.hypot(along, across) * (1 + 1.3 * ragged)).astype(np.float32))


def _exudates(rng: np.random.Generator, scene: Scene, image: Canvas) -> None:
    """Lipid in clusters, some of them rings around a leaking spot."""
    ragged = 0.20 * cloud(rng, scene, 0.015, 2)
    share = np.zeros((scene.height, scene.width), np.float32)
    for cluster in range(5):
        middle = _place(rng, scene, 0.26)
        ring = rng.uniform(0.05, 0.09) if cluster % 2 == 0 else 0.0
        for _ in range(rng.integers(9, 20)):
            angle, away = rng.uniform(0, 2 * np.pi), ring + rng.normal(0, 0.014 if ring else 0.03)
            point = (middle[0] + away * np.cos(angle), middle[1] + away * np.sin(angle))
            share = np.maximum(share, _blob(scene, point, rng.uniform(0.004, 0.012), 0.30, ragged))
    mix(image, _LIPID, 0.86 * share)


def _cotton(rng: np.random.Generator, scene: Scene, image: Canvas) -> None:
    ragged = 0.25 * cloud(rng, scene, 0.05, 3)
    for _ in range(5):
        spot = _blob(scene, _place(rng, scene, 0.42), rng.uniform(0.028, 0.048), 0.75, ragged)
        mix(image, _COTTON, 0.78 * spot)
