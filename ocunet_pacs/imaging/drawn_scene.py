"""The plain parts of a drawn fundus photograph: coordinates, noise, background, disc and macula.

Colours are float32 (height, width, 3) arrays, 0 to 1, red green blue. Lengths are in field radii, the origin is the
field's centre, x grows to the right and y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Canvas = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Where things are. `nasal` is +1 where the nose is to the right (a right eye), -1 where it is to the left."""

    width: int
    height: int
    nasal: int
    disc: tuple[float, float]
    fovea: tuple[float, float]
    disc_radius: float
    radius: float
    """The field's radius in pixels."""
    x: Canvas = field(repr=False)
    y: Canvas = field(repr=False)

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Column and row of a point."""
        return self.width / 2 + x * self.radius, self.height / 2 + y * self.radius

    def distance(self, point: tuple[float, float]) -> Canvas:
        """Each pixel's distance from a point."""
        away: Canvas = np.hypot(self.x - np.float32(point[0]), self.y - np.float32(point[1]))
        return away


def compose(rng: np.random.Generator, width: int, height: int, nasal: int) -> Scene:
    """A 45 degree field between disc and macula, placed as a photographer would: nearly the same each time."""
    radius = 0.485 * min(width, height)
    x, y = np.meshgrid(
        (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / radius,
        (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / radius,
    )
    shift_x, shift_y = rng.normal(0, 0.03, 2)
    disc = (nasal * (0.46 + shift_x), -0.03 + shift_y)
    fovea = (nasal * (-0.19 + shift_x), 0.05 + shift_y + rng.normal(0, 0.012))
    disc_radius = rng.uniform(0.112, 0.13)
    return Scene(width, height, nasal, disc, fovea, disc_radius, radius, x.astype(np.float32), y.astype(np.float32))


def smooth(edge_in: float, edge_out: float, value: Canvas) -> Canvas:
    """1 up to `edge_in`, 0 from `edge_out`, a smooth ramp between."""
    ramp: Canvas = np.clip((value - np.float32(edge_out)) / np.float32(edge_in - edge_out), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def cloud(rng: np.random.Generator, scene: Scene, coarsest: float, octaves: int = 4) -> Canvas:
    """Noise of mean 0 and standard deviation 1 (cut off at 2.5), its largest blotches `coarsest` field radii wide."""
    total: Canvas = np.zeros((scene.height, scene.width), np.float32)
    for octave in range(octaves):
        pixels = max(1.5, coarsest * scene.radius / 2**octave)
        grid = rng.standard_normal((int(scene.height / pixels) + 3, int(scene.width / pixels) + 3), dtype=np.float32)
        sized = np.asarray(cv2.resize(grid, (scene.width, scene.height), interpolation=cv2.INTER_CUBIC), np.float32)
        total += sized / np.float32(1.7**octave)
    standard: Canvas = np.clip((total - total.mean()) / total.std(), -2.5, 2.5)
    return standard


def mix(image: Canvas, colour: tuple[float, float, float], share: Canvas) -> None:
    """Paint `colour` over `image` in place, `share` (0 to 1) of it at each pixel."""
    image += share[:, :, None] * (np.array(colour, np.float32) - image)


def background(rng: np.random.Generator, scene: Scene) -> Canvas:
    """Pigment epithelium and choroid under the light of the camera: brighter around the disc, darker to the edge."""
    hue = rng.uniform(-0.03, 0.03)
    base = np.array([0.80 + hue, 0.385 - hue / 2, 0.165 - hue], np.float32) * np.float32(rng.uniform(0.92, 1.04))
    image = np.broadcast_to(base, (scene.height, scene.width, 3)).copy()
    image *= (1 + 0.035 * cloud(rng, scene, 0.5))[:, :, None]
    image[:, :, 1:] *= (1 + 0.045 * _choroid(rng, scene))[:, :, None]
    image[:, :, 1] *= 1 + 0.018 * cloud(rng, scene, 0.02, 3)
    light = 1 - 0.46 * np.clip(scene.distance((0.12 * scene.nasal, 0.02)), 0, 1.4) ** 2.4
    image *= light.astype(np.float32)[:, :, None]
    mix(image, (0.93, 0.56, 0.27), 0.30 * np.exp(-((scene.distance(scene.disc) / 0.34) ** 2)))
    return image


def add_nerve_fibres(rng: np.random.Generator, scene: Scene, image: Canvas) -> None:
    """The silky sheen that fans out of the disc, strongest above and below it."""
    dx, dy = scene.x - scene.disc[0], scene.y - scene.disc[1]
    away = np.hypot(dx, dy)
    # Fibres arch over the macula: bend the fan towards the temporal side with the distance.
    angle = np.arctan2(dy, dx * scene.nasal) + 0.5 * away * np.sign(dy)
    strands = rng.standard_normal(512).astype(np.float32)
    strands = np.convolve(np.concatenate([strands[-4:], strands, strands[:4]]), np.ones(9) / 9, "valid")
    streak = strands[((angle + np.pi) / (2 * np.pi) * 512).astype(np.int32) % 512]
    where = np.abs(np.sin(angle)) ** 2 * np.exp(-(((away - 0.2) / 0.28) ** 2))
    image *= (1 + 0.09 * where * (0.55 + streak)).astype(np.float32)[:, :, None]


def add_macula(rng: np.random.Generator, scene: Scene, image: Canvas) -> None:
    """Denser pigment around the fovea, darkest in its pit, and the pit's small reflex."""
    away = scene.distance(scene.fovea)
    image *= (1 - 0.20 * np.exp(-((away / 0.24) ** 2)))[:, :, None]
    pit = np.exp(-((away / 0.085) ** 2))
    image *= 1 - pit[:, :, None] * np.array([0.16, 0.26, 0.20], np.float32)
    reflex = rng.uniform(0.05, 0.22) * np.exp(-((away / 0.011) ** 2))
    mix(image, (1.0, 0.85, 0.6), reflex.astype(np.float32))


def add_disc(rng: np.random.Generator, scene: Scene, image: Canvas, cup_to_disc: float) -> None:
    """The optic nerve head: an upright oval, paler towards the cup and on the temporal side."""
    tilt = rng.normal(0, 0.12)
    dx, dy = scene.x - scene.disc[0], scene.y - scene.disc[1]
    across = (dx * np.cos(tilt) + dy * np.sin(tilt)) / (scene.disc_radius * rng.uniform(0.88, 0.95))
    along = (dy * np.cos(tilt) - dx * np.sin(tilt)) / scene.disc_radius
    wobble = 1 + 0.025 * np.sin(3 * np.arctan2(along, across) + rng.uniform(0, 6))
    away = (np.hypot(across, along) / wobble).astype(np.float32)
    mix(image, (0.50, 0.20, 0.08), 0.28 * np.exp(-(((away - 1.07) / 0.10) ** 2)))
    mix(image, (0.955, 0.655, 0.355), 0.93 * smooth(0.90, 1.07, away))
    temporal = np.clip(-across * scene.nasal, -1, 1)
    mix(
        image,
        (0.99, 0.79, 0.52),
        0.42 * smooth(0.75, 1.02, away) * np.clip(0.5 + 0.5 * temporal, 0, 1).astype(np.float32),
    )
    cup = np.hypot(across + 0.10 * scene.nasal, along * 1.04) / max(cup_to_disc, 0.05)
    mix(image, (1.0, 0.90, 0.69), 0.88 * smooth(0.55, 1.15, cup.astype(np.float32)))
    image *= (1 + 0.035 * smooth(0.9, 1.05, away) * cloud(rng, scene, 0.05, 3))[:, :, None]


def finish(rng: np.random.Generator, scene: Scene, image: Canvas) -> NDArray[np.uint8]:
    """The camera: a little blur, the round mask, sensor noise, eight bits."""
    sharp = max(0.5, scene.radius / 600)
    image = cv2.GaussianBlur(image, (0, 0), sharp).astype(np.float32)
    away = np.hypot(scene.x, scene.y)
    image += rng.normal(0, 0.007, image.shape).astype(np.float32)
    edge = 2.5 / scene.radius
    # At the rim, light that the iris scatters lifts the picture a little before the mask ends it.
    mix(image, (0.62, 0.34, 0.24), 0.20 * smooth(1.0, 0.90, away))
    image *= smooth(1.0 - edge, 1.0 + edge, away)[:, :, None]
    image += np.abs(rng.normal(0, 0.003, image.shape)).astype(np.float32)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _choroid(rng: np.random.Generator, scene: Scene) -> Canvas:
    """Faint broad strands, as choroidal vessels show through the pigment: ridges of a stretched noise."""
    ridges: Canvas = 1 - 2 * np.abs(np.tanh(cloud(rng, scene, 0.16, 2)))
    ridges -= ridges.mean()
    return ridges
