"""Every transfer syntax and photometric interpretation, made by other people's encoders; and every refusal."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gdcm
import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging import decode, jpeg, pixels
from ocunet_pacs.imaging.decode import frames, read_photograph
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.wrap import write_dicom
from tests.conftest import program
from tests.unit.imaging.conftest import encode, plain, save, transcode, wrap

if TYPE_CHECKING:
    from ocunet_pacs.domain.ports import RgbImage

DATA = Path(__file__).parent / "data"


def only_frame(path: Path) -> RgbImage:
    (frame,) = frames(path)
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous
    assert frame.flags.writeable
    return frame


def reason(path: Path) -> ReasonCode:
    with pytest.raises(BadInput) as caught:
        list(frames(path))
    return caught.value.reason.code


def encapsulated(stream: bytes, syntax: str, shape: tuple[int, ...], **attributes: Any) -> Dataset:
    ds = plain(np.zeros((*shape[:2], 3), np.uint8), **attributes)
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def ybr(rgb: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(rgb).convert("YCbCr"))


# --- transfer syntaxes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("syntax", "implicit", "little"),
    [
        (uid.ImplicitVRLittleEndian, True, True),
        (uid.ExplicitVRLittleEndian, False, True),
        (uid.ExplicitVRBigEndian, False, False),
        (uid.DeflatedExplicitVRLittleEndian, False, True),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_uncompressed_is_exact(photograph, tmp_path, syntax, implicit, little, dtype):
    stored = photograph.astype(dtype) * (257 if dtype == np.uint16 else 1)
    ds = plain(stored)
    if not little and dtype == np.uint16:
        ds.PixelData = stored.astype(">u2").tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "a.dcm"
    ds.save_as(path, enforce_file_format=True)
    np.testing.assert_array_equal(only_frame(path), photograph)


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_by_pydicom_is_exact(photograph, tmp_path, syntax, dtype):
    ds = plain(photograph.astype(dtype) * (257 if dtype == np.uint16 else 1))
    ds.compress(syntax)
    np.testing.assert_array_equal(only_frame(save(ds, tmp_path / "a.dcm")), photograph)


@pytest.mark.parametrize(
    ("syntax", "photometric", "options"),
    [
        (uid.JPEG2000Lossless, "YBR_RCT", {}),
        (uid.JPEG2000, "YBR_ICT", {"j2k_cr": [4]}),
        (uid.JPEGLSNearLossless, "RGB", {"jls_error": 2}),
    ],
)
def test_transformed_and_near_lossless_is_near(photograph, tmp_path, syntax, photometric, options):
    ds = plain(photograph, PhotometricInterpretation=photometric)
    ds.compress(syntax, **options)
    assert np.abs(only_frame(save(ds, tmp_path / "a.dcm")).astype(int) - photograph).mean() < 3


@pytest.mark.parametrize(
    ("name", "syntax", "exact"),
    [("lossless", uid.HTJ2KLossless, True), ("rpcl", uid.HTJ2KLosslessRPCL, True), ("lossy", uid.HTJ2K, False)],
)
def test_htj2k_by_openjph(tmp_path, name, syntax, exact):
    original = np.array(Image.open(DATA / "htj2k.png"))
    photometric = "YBR_RCT" if exact else "YBR_ICT"
    stream = (DATA / f"htj2k_{name}.j2c").read_bytes()
    ds = encapsulated(stream, syntax, original.shape, PhotometricInterpretation=photometric)
    frame = only_frame(save(ds, tmp_path / "a.dcm"))
    assert np.abs(frame.astype(int) - original).max() <= (0 if exact else 12)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("command", "syntax", "tolerance"),
    [
        (["dcmcjpeg", "+eb"], uid.JPEGBaseline8Bit, 6),
        (["dcmcjpeg", "+eb", "+cr"], uid.JPEGBaseline8Bit, 6),
        (["dcmcjpeg", "+eb", "+s4"], uid.JPEGBaseline8Bit, 6),
        (["dcmcjpeg", "+ee"], uid.JPEGExtended12Bit, 6),
        (["dcmcjpeg", "+el"], uid.JPEGLossless, 0),
        (["dcmcjpeg", "+e1"], uid.JPEGLosslessSV1, 0),
        (["dcmcjpls"], uid.JPEGLSLossless, 0),
        (["dcmcjpls", "+en", "+md", "2"], uid.JPEGLSNearLossless, 2),
        (["dcmcrle"], uid.RLELossless, 0),
        (["dcmconv", "+ti"], uid.ImplicitVRLittleEndian, 0),
        (["dcmconv", "+tb"], uid.ExplicitVRBigEndian, 0),
        (["dcmconv", "+td"], uid.DeflatedExplicitVRLittleEndian, 0),
    ],
)
def test_what_dcmtk_makes_of_it(photograph, tmp_path, command, syntax, tolerance):
    source = save(plain(photograph), tmp_path / "plain.dcm")
    subprocess.run([program(command[0]), *command[1:], source, tmp_path / "a.dcm"], check=True, timeout=30)
    assert read_header(tmp_path / "a.dcm").transfer_syntax_uid == syntax
    difference = np.abs(only_frame(tmp_path / "a.dcm").astype(int) - photograph)
    assert difference.mean() <= tolerance
    if not tolerance:
        assert not difference.any()


@pytest.mark.parametrize(
    ("syntax", "dtype"),
    [
        (gdcm.TransferSyntax.JPEGLosslessProcess14_1, np.uint8),
        (gdcm.TransferSyntax.JPEGLosslessProcess14_1, np.uint16),
        (gdcm.TransferSyntax.JPEG2000Lossless, np.uint8),
        (gdcm.TransferSyntax.RLELossless, np.uint8),
    ],
)
def test_what_gdcm_makes_of_it(photograph, tmp_path, syntax, dtype):
    source = save(plain(photograph.astype(dtype) * (257 if dtype == np.uint16 else 1)), tmp_path / "plain.dcm")
    transcode(source, tmp_path / "a.dcm", syntax)
    np.testing.assert_array_equal(only_frame(tmp_path / "a.dcm"), photograph)


@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}, {"restart_marker_rows": 1}],
)
def test_a_wrapped_jpeg_decodes_to_the_very_pixels_of_its_file(photograph, tmp_path, options):
    content = encode(photograph, "JPEG", **options)
    write_dicom(wrap(content, laterality=Laterality.RIGHT), tmp_path / "a.dcm")
    expected = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(only_frame(tmp_path / "a.dcm"), expected)
    assert content in (tmp_path / "a.dcm").read_bytes()


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_a_jpeg_of_rgb_is_known_by_its_adobe_segment(photograph, tmp_path, photometric):
    content = encode(photograph, "JPEG", keep_rgb=True)
    ds = encapsulated(content, uid.JPEGBaseline8Bit, photograph.shape, PhotometricInterpretation=photometric)
    expected = np.array(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(only_frame(save(ds, tmp_path / "a.dcm")), expected)


# --- photometric interpretations ---------------------------------------------------------------------------------


def test_planar_samples_are_put_together(photograph, tmp_path):
    ds = plain(photograph, PlanarConfiguration=1, PixelData=photograph.transpose(2, 0, 1).tobytes())
    np.testing.assert_array_equal(only_frame(save(ds, tmp_path / "a.dcm")), photograph)


def test_ybr_full(photograph, tmp_path):
    ds = plain(ybr(photograph), PhotometricInterpretation="YBR_FULL")
    assert np.abs(only_frame(save(ds, tmp_path / "a.dcm")).astype(int) - photograph).max() <= 3


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless])
def test_ybr_full_in_lossless_streams(photograph, tmp_path, syntax):
    ds = plain(ybr(photograph), PhotometricInterpretation="YBR_FULL")
    ds.compress(syntax)
    assert np.abs(only_frame(save(ds, tmp_path / "a.dcm")).astype(int) - photograph).max() <= 3


def packed_422(samples: np.ndarray) -> bytes:
    pairs = np.empty((samples.shape[0], samples.shape[1] // 2, 4), np.uint8)
    pairs[:, :, 0], pairs[:, :, 1] = samples[:, 0::2, 0], samples[:, 1::2, 0]
    pairs[:, :, 2:] = samples[:, 0::2, 1:]
    return pairs.tobytes()


def test_uncompressed_ybr_full_422(photograph, tmp_path):
    halved = ybr(photograph)
    halved[:, 1::2, 1:] = halved[:, 0::2, 1:]
    expected = np.array(Image.fromarray(halved, "YCbCr").convert("RGB"))
    ds = plain(photograph, PhotometricInterpretation="YBR_FULL_422", PixelData=packed_422(halved))
    np.testing.assert_array_equal(only_frame(save(ds, tmp_path / "a.dcm")), expected)


def test_uncompressed_ybr_partial_422_spreads_its_range(tmp_path):
    white_left_black_right = np.full((64, 80, 3), 128, np.uint8)
    white_left_black_right[:, :40, 0], white_left_black_right[:, 40:, 0] = 235, 16
    ds = plain(
        white_left_black_right,
        PhotometricInterpretation="YBR_PARTIAL_422",
        PixelData=packed_422(white_left_black_right),
    )
    frame = only_frame(save(ds, tmp_path / "a.dcm"))
    assert (frame[:, :40] == 255).all()
    assert (frame[:, 40:] == 0).all()


@pytest.mark.parametrize("entry_bits", [8, 16, "8 in 16"])
def test_palette_colour(photograph, tmp_path, entry_bits):
    indexed = Image.fromarray(photograph).quantize(200)
    colours = np.array(indexed.getpalette(), np.uint8).reshape(-1, 3)[:200]
    expected = np.array(indexed.convert("RGB"))
    ds = plain(photograph, SamplesPerPixel=1, PhotometricInterpretation="PALETTE COLOR")
    del ds.PlanarConfiguration
    ds.PixelData = (np.array(indexed) + 5).tobytes()
    for channel, name in enumerate(("Red", "Green", "Blue")):
        table = colours[:, channel]
        if entry_bits != 8:
            table = table.astype(np.uint16) * (257 if entry_bits == 16 else 1)
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [200, 5, 8 if entry_bits == 8 else 16])
        setattr(ds, f"{name}PaletteColorLookupTableData", table.tobytes())
    np.testing.assert_array_equal(only_frame(save(ds, tmp_path / "a.dcm")), expected)


@pytest.mark.parametrize(("bits", "high_bit"), [(16, 15), (12, 11), (10, 9), (12, 15)])
def test_deep_samples_scale_by_bits_stored(tmp_path, bits, high_bit):
    top = (1 << bits) - 1
    ramp = np.linspace(0, top, 64 * 80 * 3).round().astype(np.uint16).reshape(64, 80, 3)
    stored = ramp << np.uint16(high_bit + 1 - bits)
    ds = plain(stored, BitsStored=bits, HighBit=high_bit)
    frame = only_frame(save(ds, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(frame, np.floor(ramp.astype(float) * 255 / top + 0.5).astype(np.uint8))


def jpeg_without_markers(rgb: np.ndarray, *, ids: bytes) -> bytes:
    """A JPEG that does not say what its samples are: JFIF's segment cut out, components named `ids`."""
    content = encode(rgb, "JPEG", subsampling=0, quality=95)
    assert content[2:4] == b"\xff\xe0"
    content = content[:2] + content[4 + int.from_bytes(content[4:6], "big") :]
    for start, table in ((content.index(b"\xff\xc0") + 10, 3), (content.index(b"\xff\xda") + 5, 2)):
        for component in range(3):
            position = start + table * component
            content = content[:position] + ids[component : component + 1] + content[position + 1 :]
    return content


@pytest.mark.parametrize(
    ("ids", "photometric", "as_stored"),
    [
        (b"\x01\x02\x03", "RGB", True),
        (b"\x01\x02\x03", "YBR_FULL_422", False),
        (b"\x00\x01\x02", "YBR_FULL", False),
        (b"RGB", "YBR_FULL_422", True),
        (b"RGB", "RGB", True),
    ],
)
def test_a_silent_jpeg_is_read_as_declared_another_as_it_says(photograph, tmp_path, ids, photometric, as_stored):
    # The stream holds YCbCr samples of `photograph`; read "as stored", those samples come out as if they were RGB.
    stream = jpeg_without_markers(photograph, ids=ids)
    ds = encapsulated(stream, uid.JPEGBaseline8Bit, photograph.shape, PhotometricInterpretation=photometric)
    expected = ybr(photograph) if as_stored else photograph
    assert np.abs(only_frame(save(ds, tmp_path / "a.dcm")).astype(int) - expected).mean() < 3


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_FULL"])
def test_a_jfif_stream_is_ycbcr_whatever_the_data_set_says(photograph, tmp_path, photometric):
    content = encode(photograph, "JPEG", subsampling=2)
    ds = encapsulated(content, uid.JPEGBaseline8Bit, photograph.shape, PhotometricInterpretation=photometric)
    expected = np.array(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(only_frame(save(ds, tmp_path / "a.dcm")), expected)


# --- frames ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def three(photograph) -> np.ndarray:
    return np.stack([photograph, photograph[::-1], photograph[:, ::-1]])


@pytest.mark.parametrize("syntax", [None, uid.RLELossless, uid.JPEG2000Lossless])
def test_frames_come_one_by_one_in_order(three, tmp_path, syntax):
    ds = plain(three)
    if syntax:
        ds.compress(syntax)
    read = frames(save(ds, tmp_path / "a.dcm"))
    for expected in three:
        np.testing.assert_array_equal(next(read), expected)
    assert next(read, None) is None


@pytest.mark.parametrize("how", ["basic", "none", "extended", "fragmented"])
def test_jpeg_frames_are_told_apart(three, tmp_path, how):
    streams = [encode(np.ascontiguousarray(frame), "JPEG") for frame in three]
    ds = encapsulated(streams[0], uid.JPEGBaseline8Bit, three.shape[1:], PhotometricInterpretation="YBR_FULL_422")
    ds.NumberOfFrames = 3
    if how == "extended":
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(streams)
    else:
        ds.PixelData = encapsulate(streams, fragments_per_frame=3 if how == "fragmented" else 1, has_bot=how != "none")
    for stream, frame in zip(streams, frames(save(ds, tmp_path / "a.dcm")), strict=True):
        np.testing.assert_array_equal(frame, np.array(Image.open(io.BytesIO(stream))))


def test_a_broken_frame_spares_those_before_it(three, tmp_path):
    streams = [encode(np.ascontiguousarray(frame), "JPEG") for frame in three]
    streams[1] = streams[1][: len(streams[1]) // 2]
    ds = encapsulated(streams[0], uid.JPEGBaseline8Bit, three.shape[1:], PhotometricInterpretation="YBR_FULL_422")
    ds.NumberOfFrames, ds.PixelData = 3, encapsulate(streams)
    read = frames(save(ds, tmp_path / "a.dcm"))
    next(read)
    with pytest.raises(BadInput) as caught:
        next(read)
    assert caught.value.reason.code is ReasonCode.UNREADABLE_PIXELS


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"Rows": 1, "Columns": 1}, ReasonCode.TOO_SMALL),
        ({"Rows": 0}, ReasonCode.TOO_SMALL),
        ({"Columns": 63}, ReasonCode.TOO_SMALL),
        ({"Rows": 30000, "Columns": 30000}, ReasonCode.TOO_LARGE),
        ({"Rows": 129}, ReasonCode.UNREADABLE_PIXELS),
        ({"Rows": 100}, ReasonCode.UNREADABLE_PIXELS),
        ({"NumberOfFrames": 2}, ReasonCode.UNREADABLE_PIXELS),
        ({"PixelData": b""}, ReasonCode.NO_PIXELS),
        ({"PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1}, ReasonCode.NOT_COLOUR),
        ({"PhotometricInterpretation": "MONOCHROME1"}, ReasonCode.NOT_COLOUR),
        ({"PhotometricInterpretation": "CMYK", "SamplesPerPixel": 4}, ReasonCode.PHOTOMETRIC),
        ({"PhotometricInterpretation": "HSV"}, ReasonCode.PHOTOMETRIC),
        ({"PhotometricInterpretation": ""}, ReasonCode.PHOTOMETRIC),
        ({"SamplesPerPixel": 4}, ReasonCode.PHOTOMETRIC),
        ({"SamplesPerPixel": 1}, ReasonCode.PHOTOMETRIC),
        ({"PixelRepresentation": 1}, ReasonCode.PHOTOMETRIC),
        ({"PhotometricInterpretation": "YBR_FULL_422"}, ReasonCode.PHOTOMETRIC),
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, ReasonCode.PHOTOMETRIC),
        ({"BitsAllocated": 32, "BitsStored": 32}, ReasonCode.UNREADABLE_PIXELS),
        ({"BitsStored": 9}, ReasonCode.UNREADABLE_PIXELS),
        ({"BitsStored": 4, "HighBit": 9}, ReasonCode.UNREADABLE_PIXELS),
    ],
)
def test_what_cannot_be_shown_right_is_refused(photograph, tmp_path, attributes, code):
    assert reason(save(plain(photograph, **attributes), tmp_path / "a.dcm")) is code


def test_missing_pixel_data(photograph, tmp_path):
    ds = plain(photograph)
    del ds.PixelData
    assert reason(save(ds, tmp_path / "a.dcm")) is ReasonCode.NO_PIXELS


def test_a_transfer_syntax_that_nobody_decodes(photograph, tmp_path):
    ds = encapsulated(b"\0\0", uid.MPEG2MPML, photograph.shape)
    assert reason(save(ds, tmp_path / "a.dcm")) is ReasonCode.TRANSFER_SYNTAX


def test_a_palette_without_tables(photograph, tmp_path):
    ds = plain(photograph[:, :, :1], SamplesPerPixel=1, PhotometricInterpretation="PALETTE COLOR")
    ds.Rows, ds.Columns = photograph.shape[:2]
    assert reason(save(ds, tmp_path / "a.dcm")) is ReasonCode.UNREADABLE_PIXELS


def test_a_file_that_was_cut_off(photograph, tmp_path):
    path = save(plain(photograph), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-1000])
    assert reason(path) is ReasonCode.UNREADABLE_PIXELS


def in_jpeg(photograph: np.ndarray, name: str) -> bytes:
    good = encode(photograph, "JPEG", quality=90)
    grey = encode(photograph[:, :, 0], "JPEG")
    cmyk = io.BytesIO()
    Image.fromarray(photograph).convert("CMYK").save(cmyk, "JPEG")
    sof = good.index(b"\xff\xc0")
    return {
        "cut in the middle": good[: len(good) // 2],
        "cut, but with an end marker": good[: len(good) // 2] + b"\xff\xd9",
        "no scan": good[: good.index(b"\xff\xda")],
        "not a JPEG": b"\x89PNG" + bytes(100),
        "another size": encode(photograph[:100], "JPEG"),
        "a size of its own that would take gigabytes": good[: sof + 5] + b"\x75\x30\x75\x30" + good[sof + 9 :],
        "12 bits": good[: sof + 4] + b"\x0c" + good[sof + 5 :],
        "arithmetic coding": good[:sof] + b"\xff\xc9" + good[sof + 2 :],
        "grey": grey,
        "four components": cmyk.getvalue(),
        "RGB with half the red": jpeg_subsampled_rgb(photograph),
    }[name]


def jpeg_subsampled_rgb(photograph: np.ndarray) -> bytes:
    content = encode(photograph, "JPEG", subsampling=2)
    return content[:2] + jpeg._SAYS_RGB + content[4 + int.from_bytes(content[4:6], "big") :]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cut in the middle", ReasonCode.UNREADABLE_PIXELS),
        ("cut, but with an end marker", ReasonCode.UNREADABLE_PIXELS),
        ("no scan", ReasonCode.UNREADABLE_PIXELS),
        ("not a JPEG", ReasonCode.UNREADABLE_PIXELS),
        ("another size", ReasonCode.UNREADABLE_PIXELS),
        ("a size of its own that would take gigabytes", ReasonCode.UNREADABLE_PIXELS),
        ("12 bits", ReasonCode.TRANSFER_SYNTAX),
        ("arithmetic coding", ReasonCode.TRANSFER_SYNTAX),
        ("grey", ReasonCode.NOT_COLOUR),
        ("four components", ReasonCode.PHOTOMETRIC),
        ("RGB with half the red", ReasonCode.PHOTOMETRIC),
    ],
)
def test_jpeg_frames_that_are_not_what_they_should_be(photograph, tmp_path, name, code):
    stream = in_jpeg(photograph, name)
    ds = encapsulated(stream, uid.JPEGBaseline8Bit, photograph.shape, PhotometricInterpretation="YBR_FULL_422")
    assert reason(save(ds, tmp_path / "a.dcm")) is code


@pytest.mark.parametrize(
    ("syntax", "photometric"),
    [
        (uid.JPEG2000Lossless, "YBR_FULL"),  # the encoder decorrelated: it cannot be YBR_FULL inside
        (uid.JPEG2000Lossless, "YBR_RCT"),
    ],
)
def test_jpeg_2000_must_agree_about_its_transform(photograph, tmp_path, syntax, photometric):
    ds = plain(photograph, PhotometricInterpretation="YBR_RCT" if photometric == "YBR_FULL" else "RGB")
    ds.compress(syntax)
    ds.PhotometricInterpretation = photometric
    assert reason(save(ds, tmp_path / "a.dcm")) is ReasonCode.PHOTOMETRIC


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_compressed_frames_cut_in_the_middle(photograph, tmp_path, syntax):
    ds = plain(photograph)
    ds.compress(syntax)
    path = save(ds, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reason(path) is ReasonCode.UNREADABLE_PIXELS


def test_more_and_fewer_frames_than_declared(photograph, tmp_path):
    stream = encode(photograph, "JPEG")
    for declared, present in ((3, 2), (1, 2)):
        ds = encapsulated(stream, uid.JPEGBaseline8Bit, photograph.shape, PhotometricInterpretation="YBR_FULL_422")
        ds.NumberOfFrames, ds.PixelData = declared, encapsulate([stream] * present)
        assert reason(save(ds, tmp_path / "a.dcm")) is ReasonCode.UNREADABLE_PIXELS


@pytest.mark.parametrize("compressed", [True, False])
def test_pixels_of_the_other_kind_than_the_transfer_syntax(photograph, tmp_path, compressed):
    ds = encapsulated(encode(photograph, "JPEG"), uid.JPEGBaseline8Bit, photograph.shape)
    if not compressed:
        ds = plain(photograph)
    path = save(ds, tmp_path / "a.dcm")
    # Both names are padded to the same length: the UID in the file meta information can be swapped in place.
    swap = (b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1\0\0\0")
    if not compressed:
        ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        content = path.read_bytes()
        start = content.index(b"\x02\x00\x10\x00UI") + 6
        content = content[:start] + b"\x16\x00" + swap[0] + content[start + 2 + 20 :]
        path.write_bytes(content)
    else:
        path.write_bytes(path.read_bytes().replace(*swap))
    assert reason(path) is ReasonCode.UNREADABLE_PIXELS


# --- photographs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_a_photograph_is_read_as_it_is_stored(photograph, tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(photograph, kind, **({"exif": exif} if kind == "JPEG" else {}))
    (tmp_path / "a").write_bytes(content)
    expected = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(read_photograph(tmp_path / "a"), expected)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", ReasonCode.UNREADABLE_PIXELS),
        (b"GIF89a" + bytes(30), ReasonCode.UNREADABLE_PIXELS),
        (encode(np.zeros((8, 8, 3), np.uint8), "PNG"), ReasonCode.TOO_SMALL),
        (encode(np.zeros((80, 80), np.uint8), "PNG"), ReasonCode.NOT_COLOUR),
        (encode(np.zeros((80, 80), np.uint16), "PNG"), ReasonCode.NOT_COLOUR),
        (encode(np.zeros((80, 80, 3), np.uint8), "PNG")[:-30], ReasonCode.UNREADABLE_PIXELS),
        (encode(np.zeros((80, 80, 3), np.uint8), "JPEG")[:-30], ReasonCode.UNREADABLE_PIXELS),
    ],
)
def test_photographs_that_are_none(tmp_path, content, code):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_photograph(tmp_path / "a")
    assert caught.value.reason.code is code


@pytest.mark.parametrize("pixels_", [20_000 * 20_000, 8_500 * 8_500])
def test_a_bomb_is_refused_by_its_header(tmp_path, pixels_):
    side = int(pixels_**0.5)
    content = bytearray(encode(np.zeros((80, 80, 3), np.uint8), "PNG"))
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = __import__("zlib").crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_photograph(tmp_path / "a")
    assert caught.value.reason.code is ReasonCode.TOO_LARGE


def test_a_missing_file_is_no_bad_input(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_photograph(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        next(frames(tmp_path / "a"))


def test_the_largest_fundus_cameras_are_within_the_limits():
    pixels.check_size(7000, 7000)
    assert decode.check_size is pixels.check_size
