"""Pictures that a fundus worker may be sent by mistake, drawn: each from a seed to uint8 (height, width, 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.ports import RgbImage

SIZE = (480, 640)


def _cloud(rng: np.random.Generator, shape: tuple[int, int], octaves: int = 6, roughness: float = 0.55) -> np.ndarray:
    """Noise with structure at every scale, 0 to 1: what clouds, hills and foliage look like from afar."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cells = 2 ** (octave + 1)
        coarse = rng.random((cells, cells)).astype(np.float32)
        total += roughness**octave * cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (total - total.min()) / (total.max() - total.min())


def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return x / shape[1], y / shape[0]


def _blend(low: tuple[int, int, int], high: tuple[int, int, int], share: np.ndarray) -> np.ndarray:
    return np.float32(low) + (np.float32(high) - np.float32(low)) * share[:, :, None]


def _shot(rng: np.random.Generator, picture: np.ndarray, noise: float = 3.0) -> RgbImage:
    return np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


def noise(seed: int) -> RgbImage:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def orange_noise(seed: int) -> RgbImage:
    rng = np.random.default_rng(seed)
    return np.clip(np.float32([190, 90, 40]) + rng.normal(0, 30, (*SIZE, 3)), 0, 255).astype(np.uint8)


def gradient(seed: int) -> RgbImage:
    rng = np.random.default_rng(seed)
    x, y = _grid(SIZE)
    angle = rng.uniform(0, 2 * np.pi)
    share = np.clip(0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle), 0, 1)
    low, high = rng.integers(0, 256, (2, 3))
    return _blend(tuple(low), tuple(high), share).astype(np.uint8)


def document(seed: int) -> RgbImage:
    rng = np.random.default_rng(seed)
    page = np.full((640, 480, 3), rng.integers(225, 256), np.uint8)
    for line in range(40, 620, 22):
        words = " ".join("".join(rng.choice(list("abcdefghijklmnopqrst"), rng.integers(2, 9))) for _ in range(7))
        cv2.putText(page, words, (30, line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 30), 1, cv2.LINE_AA)
    return page


def warm_document(seed: int) -> RgbImage:
    """The same page by lamp light."""
    return np.clip(document(seed) * np.float32([1.0, 0.82, 0.6]), 0, 255).astype(np.uint8)


def solid(seed: int) -> RgbImage:
    colours = [(255, 255, 255), (128, 128, 128), (200, 30, 30), (30, 160, 60), (40, 60, 200), (205, 105, 45)]
    return np.full((*SIZE, 3), colours[seed % len(colours)], np.uint8)


def black(seed: int) -> RgbImage:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(2 + seed % 4, 1.5, (*SIZE, 3)), 0, 255).astype(np.uint8)


def skin(seed: int) -> RgbImage:
    rng = np.random.default_rng(seed)
    tone = np.float32([[224, 172, 140], [198, 134, 96], [141, 85, 54], [240, 194, 170]][seed % 4])
    shade = 0.8 + 0.3 * _cloud(rng, SIZE, 2)
    pores = 1 + 0.05 * (cv2.GaussianBlur(rng.normal(0, 1, SIZE).astype(np.float32), (0, 0), 1.5) * 4)
    return _shot(rng, tone * (shade * pores)[:, :, None])


def face(seed: int) -> RgbImage:
    """A head before a wall: an ellipse of skin with eyes, mouth and hair."""
    rng = np.random.default_rng(seed)
    wall = tuple(int(v) for v in rng.integers(30, 230, 3))
    picture = np.full((640, 480, 3), wall, np.uint8)
    tone = [(224, 172, 140), (198, 134, 96), (141, 85, 54), (240, 194, 170)][seed % 4]
    cv2.ellipse(picture, (240, 260), (165, 220), 0, 0, 360, (50, 35, 25), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (240, 330), (140, 195), 0, 0, 360, tone, -1, cv2.LINE_AA)
    for x in (185, 295):
        cv2.ellipse(picture, (x, 290), (26, 12), 0, 0, 360, (245, 245, 245), -1, cv2.LINE_AA)
        cv2.circle(picture, (x, 290), 10, (70, 50, 30), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (240, 430), (50, 14), 0, 0, 360, (170, 70, 70), -1, cv2.LINE_AA)
    return _shot(rng, cv2.GaussianBlur(picture, (0, 0), 2).astype(np.float32))


def external_eye(seed: int) -> RgbImage:
    """Lids, sclera with vessels, iris and pupil, as a slit-lamp or a telephone takes them."""
    rng = np.random.default_rng(seed)
    tone = np.float32([[224, 172, 140], [198, 134, 96], [141, 85, 54], [240, 194, 170]][seed % 4])
    picture = np.clip(tone * (0.75 + 0.35 * _cloud(rng, SIZE, 3))[:, :, None], 0, 255).astype(np.uint8)
    height, width = SIZE
    opening = np.zeros(SIZE, np.uint8)
    middle = (width // 2, height // 2)
    cv2.ellipse(opening, middle, (int(width * 0.44), int(height * rng.uniform(0.28, 0.45))), 0, 0, 360, 255, -1)
    sclera = np.full_like(picture, (228, 214, 206))
    for _ in range(40):
        start = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        points = start + np.cumsum(rng.normal(0, 8, (14, 2)), axis=0)
        cv2.polylines(sclera, [points.astype(np.int32)], isClosed=False, color=(200, 110, 105), thickness=1)
    iris = [(90, 60, 35), (70, 110, 140), (85, 105, 70)][seed % 3]
    cv2.circle(sclera, middle, int(height * 0.25), iris, -1, cv2.LINE_AA)
    for angle in np.linspace(0, 2 * np.pi, 90):
        edge = (int(middle[0] + height * 0.24 * np.cos(angle)), int(middle[1] + height * 0.24 * np.sin(angle)))
        cv2.line(sclera, middle, edge, tuple(int(v * rng.uniform(0.7, 1.3)) for v in iris), 1)
    cv2.circle(sclera, middle, int(height * 0.1), (12, 10, 10), -1, cv2.LINE_AA)
    cv2.circle(sclera, (middle[0] + 20, middle[1] - 20), 9, (255, 255, 255), -1)
    picture[opening > 0] = sclera[opening > 0]
    for lash in np.linspace(0.15, 0.85, 40):
        root = (int(width * lash), int(height * (0.5 - 0.33 * np.sin(np.pi * lash))))
        cv2.line(picture, root, (root[0] + int(60 * (lash - 0.5)), root[1] - 35), (30, 22, 18), 1, cv2.LINE_AA)
    return _shot(rng, cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32))


def slit_lamp(seed: int) -> RgbImage:
    """The same eye by a narrow beam in a dark room."""
    x, _ = _grid(SIZE)
    beam = 0.08 + 0.92 * np.exp(-(((x - 0.45 - 0.03 * (seed % 4)) / 0.09) ** 2))
    return (external_eye(seed) * beam[:, :, None]).astype(np.uint8)


def landscape(seed: int) -> RgbImage:
    rng = np.random.default_rng(seed)
    _, y = _grid(SIZE)
    sky = _blend((90, 140, 215), (225, 235, 245), _cloud(rng, SIZE))
    land = _blend((35, 60, 25), (140, 130, 80), _cloud(rng, SIZE, 8, 0.75))
    ridge = 0.35 + 0.25 * _cloud(rng, (1, SIZE[1]))
    return _shot(rng, np.where((y > ridge)[:, :, None], land, sky))


def desert(seed: int) -> RgbImage:
    """The landscape that comes closest in colour: sand and rock at sunset, to the edges."""
    rng = np.random.default_rng(seed)
    rock = _blend((95, 40, 20), (235, 150, 80), _cloud(rng, SIZE, 8, 0.7))
    return _shot(rng, rock)


def oct_scan(seed: int) -> RgbImage:
    """Grey layers over speckle, as optical coherence tomography shows the retina."""
    rng = np.random.default_rng(seed)
    x, y = _grid(SIZE)
    surface = 0.4 + 0.08 * np.exp(-(((x - 0.5) / 0.12) ** 2)) + 0.04 * _cloud(rng, (1, SIZE[1]), 2)
    depth = y - surface
    layers = np.where((depth > 0) & (depth < 0.28), 0.45 + 0.4 * np.cos(depth * 70), 0.06)
    grey = np.clip(layers * rng.gamma(3, 1 / 3, SIZE), 0, 1) * 220
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def angiogram(seed: int) -> RgbImage:
    """Bright vessels on a grey field, round on black."""
    from ocunet_pacs.domain.study import Laterality
    from ocunet_pacs.imaging.drawn import draw_fundus

    rgb = draw_fundus(seed=seed, laterality=Laterality.RIGHT, size=(640, 480))
    green = rgb[:, :, 1].astype(np.int16)
    field = cv2.erode((rgb.max(axis=2) > 25).astype(np.uint8), np.ones((5, 5), np.uint8))
    grey = np.clip(190 - green, 0, 255).astype(np.uint8) * field
    return np.repeat(grey[:, :, None], 3, axis=2)


def spotlight(seed: int) -> RgbImage:
    """A round patch of desert on black: field and colour right, nothing in it that an eye has."""
    rng = np.random.default_rng(seed)
    x, y = _grid(SIZE)
    inside = np.hypot((x - 0.5) * SIZE[1], (y - 0.5) * SIZE[0]) < 220
    return (desert(seed) * inside[:, :, None] + rng.integers(0, 4, (*SIZE, 3))).astype(np.uint8)


def screenshot(seed: int) -> RgbImage:
    """A viewer's window: dark panels, text, grey buttons."""
    rng = np.random.default_rng(seed)
    picture = np.full((*SIZE, 3), (32, 34, 38), np.uint8)
    picture[:40] = (70, 74, 82)
    picture[40:, :150] = (48, 52, 58)
    for row in range(60, 470, 24):
        cv2.putText(picture, f"item {rng.integers(1000)}", (12, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (210, 210, 210), 1)
        cv2.rectangle(picture, (180, row), (180 + int(rng.integers(60, 420)), row + 10), (90, 130, 190), -1)
    return picture


NOT_FUNDUS: dict[str, Callable[[int], RgbImage]] = {
    "noise": noise,
    "orange noise": orange_noise,
    "gradient": gradient,
    "document": document,
    "document by lamp light": warm_document,
    "one colour": solid,
    "black frame": black,
    "skin": skin,
    "face": face,
    "external eye": external_eye,
    "slit lamp": slit_lamp,
    "landscape": landscape,
    "desert": desert,
    "round patch of desert on black": spotlight,
    "OCT B-scan": oct_scan,
    "angiogram": angiogram,
    "screenshot": screenshot,
}
