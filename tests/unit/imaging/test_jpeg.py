"""The fast JPEG decoder gives the pixels of the slow one, bit for bit, and leaves every doubtful stream to it."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging import jpeg
from ocunet_pacs.imaging.codestream import read_jpeg
from ocunet_pacs.imaging.decode import photograph_pixels
from ocunet_pacs.imaging.drawn import draw_fundus
from tests.unit.imaging.conftest import encode

if TYPE_CHECKING:
    from pathlib import Path

EYE = draw_fundus(seed=3, laterality=Laterality.LEFT, size=(240, 200))


def by_pillow(stream: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(stream)).convert("RGB"))


def by_the_fast_one(stream: bytes) -> np.ndarray:
    """Decode, and fail where Pillow had to do it."""
    with patch.object(jpeg, "JpegImageFile", side_effect=AssertionError("left to Pillow")):
        return jpeg.jpeg_pixels(stream, read_jpeg(stream))


@settings(max_examples=120, deadline=None)
@given(
    quality=st.integers(1, 100),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    options=st.fixed_dictionaries(
        {},
        optional={"optimize": st.booleans(), "restart_marker_rows": st.integers(1, 3), "exif": st.binary(max_size=9)},
    ),
    size=st.tuples(st.integers(1, 200), st.integers(1, 240)),
    noise=st.integers(0, 60),
)
def test_whatever_the_encoder_was_told(quality, subsampling, options, size, noise):
    rgb = EYE[: size[0], : size[1]].astype(int)
    rgb = rgb + np.random.default_rng(noise).integers(-noise, noise + 1, rgb.shape)
    stream = encode(np.clip(rgb, 0, 255).astype(np.uint8), "JPEG", quality=quality, subsampling=subsampling, **options)
    np.testing.assert_array_equal(by_the_fast_one(stream), by_pillow(stream))


@pytest.mark.parametrize("factors", ["411", "420", "422", "440", "444"])
def test_whatever_the_subsampling(factors):
    sampling = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{factors}")
    _, stream = cv2.imencode(".jpg", EYE, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling])
    np.testing.assert_array_equal(by_the_fast_one(stream.tobytes()), by_pillow(stream.tobytes()))


def test_a_stream_of_rgb():
    stream = encode(EYE, "JPEG", keep_rgb=True)
    np.testing.assert_array_equal(by_the_fast_one(stream), by_pillow(stream))


def odd_sampling() -> bytes:
    """Chrominance components of different sizes, for which TurboJPEG has no name."""
    stream = bytearray(encode(EYE, "JPEG", subsampling=0))
    stream[stream.index(b"\xff\xc0") + 14] = 0x21
    return bytes(stream)


SOUND = encode(EYE, "JPEG")


@pytest.mark.parametrize(
    "stream",
    [
        encode(EYE, "JPEG", progressive=True),
        encode(EYE[:, :, 0], "JPEG"),
        odd_sampling(),
        SOUND[:2] + b"\xff\xff" + SOUND[2:],
        SOUND + b"trailing bytes",
        SOUND[: len(SOUND) // 2] + b"\xff\xd9",
        SOUND[: len(SOUND) // 2] + bytes(20) + SOUND[len(SOUND) // 2 + 20 :],
    ],
    ids=["progressive", "grey", "odd sampling", "fill bytes", "trailing bytes", "ended early", "corrupt"],
)
def test_other_and_doubtful_streams_come_out_as_pillow_has_them(stream):
    np.testing.assert_array_equal(jpeg.jpeg_pixels(stream, read_jpeg(stream)), by_pillow(stream))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("ending", [b"", b"\xff\xd9"])
def test_a_photograph_that_is_cut_off_is_refused(kept, ending):
    lit = encode(EYE[40:160, 40:200], "JPEG")  # without the black surround, of which a cut would take nothing away
    with pytest.raises(BadInput) as caught:
        photograph_pixels(lit[: int(kept * len(lit))] + ending)
    assert caught.value.reason.code is ReasonCode.UNREADABLE_PIXELS


def test_a_size_that_was_not_checked_is_refused():
    facts = read_jpeg(encode(EYE[:100], "JPEG"))
    for stream in (SOUND, encode(EYE, "JPEG", progressive=True)):
        with pytest.raises(ValueError, match="another size"):
            jpeg.jpeg_pixels(stream, facts)


@pytest.mark.shared
def test_every_real_photograph(shared: Path):
    small = sorted((shared / "data" / "fundus" / "images").glob("*.jpg"))
    paths = sorted((shared / "data" / "fullres").glob("*.jpg")) + random.Random(1).sample(small, 200)
    assert len(paths) == 209
    for path in paths:
        stream = path.read_bytes()
        np.testing.assert_array_equal(by_the_fast_one(stream), by_pillow(stream), err_msg=path.name)
