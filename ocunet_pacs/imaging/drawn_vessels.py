"""The vessel tree of a drawn fundus: four arcades of a vein and an artery each, and their branches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ocunet_pacs.imaging.drawn_scene import Canvas, Scene

_STEP = 0.012
_FINEST = 0.0022
_SUPERSAMPLING = 2


@dataclass(frozen=True, slots=True, eq=False)
class Vessel:
    """A path (n, 2) in field radii from its root, and its diameter there (n)."""

    path: NDArray[np.float64]
    diameter: NDArray[np.float64]
    vein: bool


def grow_tree(rng: np.random.Generator, scene: Scene) -> list[Vessel]:
    """The trunks in pairs, each with what grows from it."""
    vessels: list[Vessel] = []
    for temporal in (True, False):
        for up in (-1, 1):
            for vein in (True, False):
                trunk = _arcade(rng, scene, temporal=temporal, up=up, vein=vein)
                vessels.append(trunk)
                vessels += _branches(rng, scene, trunk, depth=0)
    for up in (-1, 1):
        vessels.append(_macular_twig(rng, scene, up))
    return vessels


def add_vessels(scene: Scene, image: Canvas, vessels: list[Vessel]) -> None:
    """Blood absorbs green and blue: veins more than arteries, which carry a bright reflex along their middle."""
    for vein, kept in ((False, (0.83, 0.55, 0.50)), (True, (0.66, 0.36, 0.42))):
        mask = _mask(scene, [v for v in vessels if v.vein is vein], 1.0)
        image *= 1 - mask[:, :, None] * (1 - np.array(kept, np.float32))
    reflex = _mask(scene, [v for v in vessels if v.diameter[0] > 0.012], 0.28)
    image += 0.07 * reflex[:, :, None] * np.array([1.0, 0.75, 0.5], np.float32)


def _arcade(rng: np.random.Generator, scene: Scene, *, temporal: bool, up: int, vein: bool) -> Vessel:
    """A trunk: temporal ones arch over the macula, nasal ones run straight out."""
    t = np.arange(0, 1.75 if temporal else 0.95, _STEP)
    if temporal:
        reach = rng.uniform(0.58, 0.66) * (1.0 if vein else 0.88)
        height = reach * np.sqrt(t + 0.01) * (1 - rng.uniform(0.10, 0.20) * t**1.6)
        across = -t
    else:
        height = rng.uniform(0.75, 1.15) * t ** rng.uniform(0.8, 0.95)
        across = t * rng.uniform(0.55, 0.8)
    wander = _wander(rng, len(t), 0.05) * np.minimum(1, t / 0.25)
    # Trunks come up through the cup, veins on its temporal side, and part before they leave the disc.
    root = scene.disc_radius * (0.02 if vein else 0.22)
    x = scene.disc[0] + scene.nasal * (across + root * np.exp(-t / 0.1) + 0.4 * wander)
    y = scene.disc[1] + up * (height - height[0] + wander)
    calibre = (0.027 if vein else 0.0195) * (1.0 if temporal else 0.72) * rng.uniform(0.9, 1.1)
    return Vessel(np.stack([x, y], axis=1), calibre * np.exp(-0.85 * t), vein)


def _branches(rng: np.random.Generator, scene: Scene, parent: Vessel, depth: int) -> Iterator[Vessel]:
    """Side branches, alternating sides, each with its own."""
    if depth == 3:
        return
    length = len(parent.path)
    spacing = (19, 13, 10)[depth]
    index = int(rng.uniform(0.7, 1.3) * spacing) + (6 if depth == 0 else 0)
    side = rng.choice((-1, 1))
    while index < length - 4:
        heading = parent.path[index] - parent.path[index - 2]
        angle = np.arctan2(heading[1], heading[0]) + side * rng.uniform(0.45, 0.95)
        diameter = parent.diameter[index] * rng.uniform(0.42, 0.68)
        if diameter > _FINEST:
            child = _walk(rng, scene, parent.path[index], angle, diameter, parent.vein, turn=-side)
            if len(child.path) > 4:
                yield child
                yield from _branches(rng, scene, child, depth + 1)
        side = -side
        index += int(rng.uniform(0.6, 1.6) * spacing)


def _walk(
    rng: np.random.Generator,
    scene: Scene,
    start: NDArray[np.float64],
    angle: float,
    diameter: float,
    vein: bool,  # noqa: FBT001
    turn: int,
) -> Vessel:
    """A branch: it bends back towards its parent's course, wanders, and keeps clear of the fovea."""
    steps = int(min(62, 12 + diameter * 4000) * rng.uniform(0.7, 1.15))
    bend = turn * rng.uniform(0.2, 0.7) / steps + _wander(rng, steps, 0.10) * 0.35
    points, calibres = [start], [diameter]
    for step in range(steps):
        here = points[-1]
        fovea = here - np.array(scene.fovea)
        near = np.hypot(*fovea)
        if near < 0.09 or np.hypot(*here) > 1.05:
            break
        if near < 0.30:
            # The macula's vessels turn towards the fovea and stop short of it.
            wanted = np.arctan2(-fovea[1], -fovea[0])
            angle += 0.05 * np.sin(wanted - angle)
        angle += bend[step]
        points.append(here + _STEP * np.array([np.cos(angle), np.sin(angle)]))
        calibres.append(diameter * (1 - 0.62 * step / steps))
    return Vessel(np.array(points), np.array(calibres), vein)


def _macular_twig(rng: np.random.Generator, scene: Scene, up: int) -> Vessel:
    """A small vessel from the disc's temporal rim straight to the macula."""
    start = np.array([scene.disc[0] - scene.nasal * scene.disc_radius * 0.7, scene.disc[1] + up * 0.04])
    angle = np.arctan2(up * 0.35, -scene.nasal)
    return _walk(rng, scene, start, angle, 0.006, vein=up > 0, turn=up * scene.nasal)


def _wander(rng: np.random.Generator, count: int, size: float) -> NDArray[np.float64]:
    """A smooth random curve around zero."""
    knots = rng.normal(0, size, max(3, count // 12 + 2))
    curve = np.interp(np.linspace(0, len(knots) - 1, count + 14), np.arange(len(knots)), knots)
    bell = np.hanning(17)[1:-1]
    return np.convolve(curve, bell / bell.sum(), "valid")


def _mask(scene: Scene, vessels: list[Vessel], share: float) -> Canvas:
    """How much of each pixel is vessel, 0 to 1; `share` of each diameter is drawn."""
    big = np.zeros((scene.height * _SUPERSAMPLING, scene.width * _SUPERSAMPLING), np.uint8)
    scale = scene.radius * _SUPERSAMPLING
    centre = np.array([scene.width, scene.height]) * (_SUPERSAMPLING / 2)
    for vessel in sorted(vessels, key=lambda v: float(v.diameter[0])):
        points = _densified(vessel.path) * scale + centre
        diameters = np.interp(
            np.linspace(0, 1, len(points)), np.linspace(0, 1, len(vessel.diameter)), vessel.diameter
        ) * (share * scale)
        fixed = np.rint(points * 16).astype(np.int32)
        for (start, end), diameter in zip(pairwise(fixed), diameters[1:], strict=True):
            # A line is at least a pixel wide: a finer vessel is drawn fainter instead.
            strength = int(255 * min(1.0, 0.35 + 0.65 * diameter / (3 * _SUPERSAMPLING)))
            thickness = max(1, round(float(diameter)))
            cv2.line(big, tuple(map(int, start)), tuple(map(int, end)), strength, thickness, cv2.LINE_AA, 4)
    small = cv2.resize(big, (scene.width, scene.height), interpolation=cv2.INTER_AREA)
    blurred = np.asarray(cv2.GaussianBlur(small, (0, 0), max(0.5, scene.radius / 700)), np.float32)
    return blurred / np.float32(255)


def _densified(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three times as many points, rounded off."""
    t = np.linspace(0, len(path) - 1, 3 * len(path))
    rounded = path.copy()
    rounded[1:-1] = (path[:-2] + 2 * path[1:-1] + path[2:]) / 4
    return np.stack([np.interp(t, np.arange(len(path)), rounded[:, axis]) for axis in (0, 1)], axis=1)
