"""Other people's senders: what dcmtk encodes and sends, what Orthanc sends, and that it is kept as it came."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.acceptance.conftest import wrap_study
from tests.conftest import program
from tests.dcmtk import storescu
from tests.integration.objects import data_set_of, photograph, write
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Receiver

pytestmark = pytest.mark.peers

# dcmtk's encoder with its options, storescu's option, the transfer syntax, how far pixels may be off.
ENCODED = {
    "baseline": (("dcmcjpeg", "+eb", "+un"), "-xy", "1.2.840.10008.1.2.4.50", 12),
    "extended": (("dcmcjpeg", "+ee", "+un"), "-xx", "1.2.840.10008.1.2.4.51", 12),
    "lossless": (("dcmcjpeg", "+e1", "+un"), "-xs", "1.2.840.10008.1.2.4.70", 0),
    "JPEG-LS": (("dcmcjpls", "+el", "+un"), "-xt", "1.2.840.10008.1.2.4.80", 0),
    "JPEG-LS near": (("dcmcjpls", "+en", "+un"), "-xu", "1.2.840.10008.1.2.4.81", 4),
    "RLE": (("dcmcrle", "+un"), "-xr", "1.2.840.10008.1.2.5", 0),
    "implicit": (("dcmconv", "+ti"), "-xi", "1.2.840.10008.1.2", 0),
    "explicit": (("dcmconv", "+te"), "-xe", "1.2.840.10008.1.2.1", 0),
    "big endian": (("dcmconv", "+tb"), "-xb", "1.2.840.10008.1.2.2", 0),
    "deflated": (("dcmconv", "+td"), "-xd", "1.2.840.10008.1.2.1.99", 0),
}


def smooth() -> pydicom.Dataset:
    """A photograph without sharp edges, which lossy compression keeps nearly as it is."""
    ds = photograph(rows=64, columns=96)
    y, x = np.mgrid[0:64, 0:96]
    ds.PixelData = np.stack([x, y * 2, (x + y)], axis=-1).astype(np.uint8).tobytes()
    return ds


@pytest.mark.parametrize("name", ENCODED)
def test_what_dcmtk_encodes_arrives_as_it_was_and_can_be_decoded(name: str, receiver: Receiver, tmp_path: Path) -> None:
    command, option, transfer_syntax, tolerance = ENCODED[name]
    original = smooth()
    plain, encoded = write(original, tmp_path / "plain.dcm"), tmp_path / "encoded.dcm"
    subprocess.run([program(command[0]), *command[1:], str(plain), str(encoded)], check=True, timeout=60)
    done = storescu(receiver.port, encoded, options=("-R", option))
    assert done.status == 0, done.text
    (stored,) = receiver.stored()
    sent, kept = pydicom.dcmread(encoded), pydicom.dcmread(stored)
    assert kept.file_meta.TransferSyntaxUID == transfer_syntax
    assert kept.SOPInstanceUID == sent.SOPInstanceUID
    assert bytes(kept.PixelData) == bytes(sent.PixelData)
    off = np.abs(kept.pixel_array.astype(int) - _like(kept, original).astype(int)).max()
    assert off <= tolerance


def _like(kept: pydicom.Dataset, original: pydicom.Dataset) -> np.ndarray:
    """The original's pixels in the colour space that the kept object's decoder gives."""
    from pydicom.pixels import convert_color_space

    pixels = original.pixel_array
    if kept.PhotometricInterpretation.startswith("YBR") and kept.file_meta.TransferSyntaxUID.is_encapsulated:
        decoded = kept.pixel_array
        if np.abs(decoded.astype(int) - pixels.astype(int)).max() > 12:
            return convert_color_space(pixels, "RGB", "YBR_FULL")
    return pixels


def test_dcmtk_sends_many_over_one_association_in_several_syntaxes(receiver: Receiver, tmp_path: Path) -> None:
    files = [write(photograph(), tmp_path / f"{number}.dcm") for number in range(5)]
    jpeg = tmp_path / "jpeg.dcm"
    subprocess.run([program("dcmcjpeg"), "+eb", "+ua", str(files[0]), str(jpeg)], check=True, timeout=60)
    done = storescu(receiver.port, *files, jpeg, options=("-xy",))
    assert done.status == 0, done.text
    assert len(receiver.stored()) == 6


def test_what_is_kept_is_valid_where_what_was_sent_is(receiver: Receiver, tmp_path: Path) -> None:
    picture = tmp_path / "eye.jpg"
    Image.fromarray(smooth().pixel_array).save(picture)
    (sent,) = wrap_study([picture], tmp_path / "study")
    assert storescu(receiver.port, sent, options=("-R", "-xy")).status == 0
    (stored,) = receiver.stored()
    said = subprocess.run([program("dciodvfy"), "-new", str(stored)], capture_output=True, text=True, check=False)
    assert not [line for line in (said.stdout + said.stderr).splitlines() if "Error" in line]


def test_orthanc_sends(receiver: Receiver, tmp_path: Path) -> None:
    objects = [photograph(rows=300, columns=400) for _ in range(3)]
    modalities = {"ocunet": ("OCUNET", "127.0.0.1", receiver.port)}
    with orthanc(tmp_path / "orthanc", modalities=modalities) as peer:
        instances = [peer.upload(write(ds, tmp_path / "a.dcm")) for ds in objects]
        answer = peer.store("ocunet", instances)
        wrong = peer.client.put("/modalities/wrong", json={"AET": "WRONG", "Host": "127.0.0.1", "Port": receiver.port})
        wrong.raise_for_status()
        assert peer.client.post("/modalities/wrong/echo", json={}).status_code != 200
        assert peer.client.post("/modalities/ocunet/echo", json={}).status_code == 200
    assert answer["FailedInstancesCount"] == 0
    kept = {pydicom.dcmread(path).SOPInstanceUID: path for path in receiver.stored()}
    assert set(kept) == {ds.SOPInstanceUID for ds in objects}
    for ds in objects:
        assert bytes(pydicom.dcmread(kept[ds.SOPInstanceUID]).PixelData) == bytes(ds.PixelData)
    assert len(data_set_of(objects[0])) > 300 * 400 * 3
