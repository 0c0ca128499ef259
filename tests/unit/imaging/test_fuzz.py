"""Damaged files: either pixels of the declared size come out, or BadInput does. Nothing else, and no crash."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import gdcm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.decode import frames, read_photograph
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.pixels import MAX_PIXELS, MIN_SIDE
from tests.unit.imaging.conftest import encode, plain, transcode, wrap

SMALL = draw_fundus(seed=5, laterality=Laterality.LEFT, size=(72, 64))


def compressed(syntax: str) -> bytes:
    ds = plain(SMALL)
    if syntax in (uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless):
        ds.compress(syntax)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    return written(ds)


def written(ds) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def lossless_jpeg() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "plain.dcm", Path(folder) / "lossless.dcm"
        source.write_bytes(written(plain(SMALL)))
        transcode(source, target, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
        return target.read_bytes()


FILES = {
    "jpeg": lambda: written(wrap(encode(SMALL, "JPEG"), laterality=Laterality.LEFT)),
    "raw": lambda: compressed(uid.ImplicitVRLittleEndian),
    "deflated": lambda: compressed(uid.DeflatedExplicitVRLittleEndian),
    "rle": lambda: compressed(uid.RLELossless),
    "jpeg_lossless": lossless_jpeg,
    "jpeg_ls": lambda: compressed(uid.JPEGLSLossless),
    "jpeg_2000": lambda: compressed(uid.JPEG2000Lossless),
}


@st.composite
def damage(draw: st.DrawFn) -> tuple[list[tuple[float, int]], float, bytes]:
    """Bits to flip (place as a share of the file, mask), the share to keep, and what is appended."""
    place = st.one_of(st.floats(0, 1), st.floats(0, 0.1))
    flips = draw(st.lists(st.tuples(place, st.integers(1, 255)), max_size=6))
    return flips, draw(st.one_of(st.just(1.0), st.floats(0, 1))), draw(st.binary(max_size=8))


def damaged(content: bytes, how: tuple[list[tuple[float, int]], float, bytes]) -> bytes:
    flips, kept, tail = how
    changed = bytearray(content)
    for place, mask in flips:
        changed[int(place * (len(changed) - 1))] ^= mask
    return bytes(changed[: int(kept * len(changed))]) + tail


def check(frame: np.ndarray) -> None:
    assert frame.dtype == np.uint8
    assert frame.ndim == 3
    assert frame.shape[2] == 3
    assert min(frame.shape[:2]) >= MIN_SIDE
    assert frame.shape[0] * frame.shape[1] <= MAX_PIXELS


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_read_or_refused(name):
    content = FILES[name]()

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(damage())
    def attempt(how):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.dcm"
            path.write_bytes(damaged(content, how))
            said = ""
            try:
                read_header(path)
                for frame in frames(path):
                    check(frame)
            except BadInput as refusal:
                said = str(refusal)
            assert "Drawn" not in said, "the patient's name"

    attempt()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_damaged_photograph_is_read_or_refused(kind):
    content = encode(SMALL, kind)

    @settings(max_examples=120, deadline=None)
    @given(damage())
    def attempt(how):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "photograph"
            path.write_bytes(damaged(content, how))
            with contextlib.suppress(BadInput):
                check(read_photograph(path))

    attempt()
