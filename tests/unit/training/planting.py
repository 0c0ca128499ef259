"""Copies of a photograph as collections hold them, made to be found."""

import cv2
import numpy as np
from PIL import Image


def rotated(rgb, angle):
    height, width = rgb.shape[:2]
    around = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return cv2.warpAffine(rgb, around, (width, height))


def cropped(rgb, share):
    y, x = (int(side * share) for side in rgb.shape[:2])
    return rgb[y : rgb.shape[0] - y, x : rgb.shape[1] - x]


def scaled(rgb, factor):
    return cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def brighter(rgb, factor):
    return np.clip(rgb * factor, 0, 255).astype(np.uint8)


def equalised(rgb):
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = cv2.createCLAHE(2.0, (8, 8)).apply(np.ascontiguousarray(lab[:, :, 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def noisy(rgb, sigma):
    return np.clip(rgb + np.random.default_rng(0).normal(0, sigma, rgb.shape), 0, 255).astype(np.uint8)


PLANTED = {
    "re-encoded": (lambda rgb: rgb, 60, False, 0),
    "mirrored": (lambda rgb: rgb[:, ::-1], 75, True, 0),
    "upside down": (lambda rgb: rgb[::-1], 75, True, 180),
    "half turn": (lambda rgb: rgb[::-1, ::-1], 75, False, 180),
    "quarter turn": (np.rot90, 75, False, 90),
    "half the size": (lambda rgb: scaled(rgb, 0.5), 90, False, 0),
    "cropped": (lambda rgb: cropped(rgb, 0.05), 90, False, 0),
    "brighter": (lambda rgb: brighter(rgb, 1.2), 90, False, 0),
    "darker": (lambda rgb: brighter(rgb, 0.7), 90, False, 0),
    "turned a little": (lambda rgb: rotated(rgb, 5), 90, False, 5),
    "turned more": (lambda rgb: rotated(rgb, -15), 90, False, 345),
    "equalised": (equalised, 90, False, 0),
    "noisy": (lambda rgb: noisy(rgb, 6), 90, False, 0),
    "squeezed": (lambda rgb: cv2.resize(rgb, (300, 300)), 90, False, 0),
    "all at once": (lambda rgb: brighter(cropped(rotated(rgb[:, ::-1], 10), 0.03), 1.15), 70, True, 10),
}
"""By name: what is done to the pixels, the JPEG's quality, and how the copy then lies to its original."""


def save(rgb, path, quality=92):
    Image.fromarray(np.ascontiguousarray(rgb)).save(path, quality=quality)
