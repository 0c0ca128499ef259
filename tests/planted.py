"""A collection to learn from in two minutes: drawn eyes with lesions that are planted large, a folder for each class.

Every eye is a patient, photographed several times, once with each lesion and once without: only the lesion tells the
classes apart, and a network that knows the eye by heart gains nothing on the held-out ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage

FOLDERS = ("normal", "diabetic_retinopathy", "cataract", "glaucoma")
"""As in the four-class set."""
SIZE = (160, 120)


def eye(patient: int) -> RgbImage:
    side = Laterality.RIGHT if patient % 2 else Laterality.LEFT
    return draw_fundus(seed=1000 + patient, laterality=side, size=SIZE)


def planted(clean: RgbImage, folder: str, seed: int) -> RgbImage:
    """Another photograph of the eye: other light, a little turned, and the folder's lesion."""
    rng = np.random.default_rng(seed)
    picture = clean.astype(np.float32)
    height, width = picture.shape[:2]
    if folder == "diabetic_retinopathy":
        for _ in range(rng.integers(14, 22)):
            _spot(picture, _place(rng, width, height), rng.uniform(2.0, 4.0), (70, 8, 8))
    elif folder == "glaucoma":
        for _ in range(rng.integers(10, 16)):
            _spot(picture, _place(rng, width, height), rng.uniform(2.0, 4.0), (250, 240, 120))
    elif folder == "cataract":
        blurred = cv2.GaussianBlur(picture, (0, 0), 4.0)
        picture = 0.6 * blurred + 0.4 * 150.0 * (blurred.max(axis=2, keepdims=True) > 25)
    picture *= rng.uniform(0.9, 1.1)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-8, 8), 1.0)
    turned = cv2.warpAffine(picture, turn, (width, height))
    noisy = turned + rng.normal(0, 2.0, turned.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def write_folders(root: Path, patients: int, times: int = 2, first: int = 0) -> int:
    """The collection under `root`, named FOLDER/pPATIENT_N.png; how many photographs it holds."""
    count = 0
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for patient in range(first, first + patients):
        clean = eye(patient)
        for number, folder in enumerate(FOLDERS):
            for time in range(times):
                picture = planted(clean, folder, 7919 * patient + 31 * number + time)
                path = root / folder / f"p{patient}_{number}{time}.png"
                cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                count += 1
    return count


def _place(rng: np.random.Generator, width: int, height: int) -> tuple[float, float]:
    angle, away = rng.uniform(0, 2 * np.pi), 0.36 * height * np.sqrt(rng.uniform(0.02, 1.0))
    return width / 2 + away * np.cos(angle), height / 2 + away * np.sin(angle)


def _spot(picture: np.ndarray, centre: tuple[float, float], radius: float, colour: tuple[int, int, int]) -> None:
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    share = np.clip(radius + 0.5 - np.hypot(columns - centre[0], rows - centre[1]), 0, 1)[..., None]
    picture *= 1 - 0.9 * share
    picture += 0.9 * share * np.asarray(colour, np.float32)
