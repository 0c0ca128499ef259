"""The plain way to the same answer, as a script in the field does it: one picture at a time, from file to overlay.

Pillow opens, OpenCV crops and evens out the contrast at full size, Pillow resizes, torch runs the network eagerly in
float32 on its default threads, and Grad-CAM of the leading label comes from a backward pass through the whole network.
Written without this product's imaging and explaining; the weights are the same, so the answers must be too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from PIL import Image

from ocunet_pacs.domain.result import Box
from ocunet_pacs.report.painting import overlay

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ocunet_pacs.model.network import OcuNet

MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)
SHOWN = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """`probabilities` in the order of the labels; the overlay of the most probable one."""

    probabilities: NDArray[np.float32]
    overlay: NDArray[np.uint8]


def answer(network: OcuNet, temperature: float, path: Path) -> Answer:
    """One photograph (a JPEG file) through it all. `network` is in eval mode, its parameters as a load leaves them."""
    rgb = np.asarray(Image.open(path).convert("RGB"))
    left, top, right, bottom = field(rgb)
    crop = rgb[top:bottom, left:right].copy()
    crop[:, :, 1] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(np.ascontiguousarray(crop[:, :, 1]))
    seen = np.asarray(Image.fromarray(crop).resize((384, 384), Image.Resampling.BILINEAR), np.float32)
    pixels = torch.from_numpy(((seen / 255 - MEAN) / STD).transpose(2, 0, 1)[None].copy())
    # One forward gives the probabilities and the graph: no second one is run for the explanation.
    features = network.forward_features(pixels)
    features.retain_grad()
    logits = network.head(network.pool(features))[0]
    probabilities = torch.sigmoid(logits.detach() / temperature).numpy()
    network.zero_grad()
    logits[int(probabilities.argmax())].backward()
    assert features.grad is not None
    with torch.no_grad():
        weights = features.grad.mean(dim=(2, 3), keepdim=True)
        activation = (weights * features).sum(dim=1)[0].relu()
        activation = activation / activation.max().clamp(min=1e-12)
    height, width = rgb.shape[:2]
    scale = min(1.0, SHOWN / max(height, width))
    shown = cv2.resize(rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    place = Box(*(round(edge * scale) for edge in (left, top, right, bottom)))
    return Answer(probabilities, overlay(shown, activation.numpy(), place))


def field(rgb: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the lit field, padded by 5 % of its longer side; the whole picture without one."""
    height, width = rgb.shape[:2]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    _, mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    if not 0.1 <= np.count_nonzero(mask) / mask.size <= 0.95:
        _, mask = cv2.threshold(grey, 15, 255, cv2.THRESH_BINARY)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, ellipse, iterations=3)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, ellipse, iterations=2)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return 0, 0, width, height
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    if min(w, h) < 2 * int(0.2 * min(height, width)):
        return 0, 0, width, height
    pad = int(max(w, h) * 0.05)
    return max(0, x - pad), max(0, y - pad), min(width, x + w + pad), min(height, y + h + pad)
