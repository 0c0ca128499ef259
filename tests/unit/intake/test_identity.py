"""The listener's own reading of an object agrees with pydicom's, and costs next to nothing whatever it is given."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.intake.completeness import is_complete
from ocunet_pacs.intake.identity import read_identity
from ocunet_pacs.intake.part10 import file_head
from tests.integration.objects import OP_8_BIT, write
from tests.integration.odd_files import odd_files
from tests.unit.intake.test_completeness import small

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.domain.study import ImageHeader

EMPTY_ITEM = struct.pack("<LL", 0xE000FFFE, 0)


def received(content: bytes, syntax: str, path: Path) -> Path:
    """As the listener writes it."""
    path.write_bytes(file_head(OP_8_BIT, "1.2.3", syntax, "CAMERA") + content)
    return path


def identifying(header: ImageHeader) -> tuple[object, ...]:
    return (
        header.study_instance_uid,
        header.series_instance_uid,
        header.sop_instance_uid,
        header.sop_class_uid,
        header.transfer_syntax_uid,
        header.made_by_us,
    )


def test_says_of_pydicoms_files_what_pydicom_says(tmp_path: Path) -> None:
    compared = 0
    for file in odd_files():
        path = received(file.content, file.transfer_syntax, tmp_path / "a.dcm")
        try:
            if not is_complete(path):
                continue
            expected = read_header(path)
        except BadInput:
            continue
        if not expected.sop_instance_uid:
            continue
        assert identifying(read_identity(path)) == identifying(expected), file.name
        compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGBaseline8Bit,
    ],
)
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("place", ["equipment", "contributing", "neither"])
def test_knows_our_own_objects(syntax: str, place: str, undefined: bool, tmp_path: Path) -> None:
    ds, other, ours = small(syntax), Dataset(), Dataset()
    other.Manufacturer, other.ManufacturerModelName = "Camera Works", "ocunet_pacs"
    ours.Manufacturer, ours.ManufacturerModelName = "OcuNet", "ocunet_pacs"
    ds.ContributingEquipmentSequence = [other, ours] if place == "contributing" else [other]
    ds["ContributingEquipmentSequence"].is_undefined_length = undefined
    if place == "equipment":
        ds.Manufacturer, ds.ManufacturerModelName = "OcuNet", "ocunet_pacs"
    path = write(ds, tmp_path / "a.dcm")
    assert identifying(read_identity(path)) == identifying(read_header(path))
    assert read_identity(path).made_by_us == (place != "neither")


def a_million_items() -> bytes:
    return b"\x18\x00\x01\xa0SQ\0\0" + struct.pack("<L", 0xFFFFFFFF) + EMPTY_ITEM * 1_000_000


def test_a_million_items_are_too_many(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    for read in (read_identity, is_complete):
        with pytest.raises(BadInput) as refused:
            read(received(a_million_items(), ExplicitVRLittleEndian, path))
        assert refused.value.reason.code is ReasonCode.TOO_LARGE


def test_a_long_list_of_equipment_names_nobody(tmp_path: Path) -> None:
    items = EMPTY_ITEM * 100_000
    content = b"\x18\x00\x01\xa0SQ\0\0" + struct.pack("<L", len(items)) + items
    assert not read_identity(received(content, ExplicitVRLittleEndian, tmp_path / "a.dcm")).made_by_us


@pytest.mark.parametrize("before_pixels", [True, False])
def test_a_bomb_costs_no_memory(before_pixels: bool, tmp_path: Path) -> None:
    element = b"\x09\x00\x10\x10OB\0\0" if before_pixels else b"\xe0\x7f\x10\x00OB\0\0"
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    start = squeeze.compress(element + struct.pack("<L", 800 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    # After a full flush, the same bytes inflate to the same again.
    megabyte = squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    path = received(start + megabyte * 800 + squeeze.flush(), DeflatedExplicitVRLittleEndian, tmp_path / "a.dcm")
    tracemalloc.start()
    with pytest.raises(BadInput) as refused:
        is_complete(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.reason.code is ReasonCode.TOO_LARGE
    assert peak < 4 << 20
