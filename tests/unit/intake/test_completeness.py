"""A data set that was cut is noticed wherever it was cut, and one that was not never is."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from ocunet_pacs.intake.completeness import is_complete
from tests.integration.objects import data_set_of, photograph

if TYPE_CHECKING:
    from pathlib import Path

UNCOMPRESSED = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


def nested(ds: Dataset) -> Dataset:
    """With sequences in sequences, of defined and of undefined length."""
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.CodingSchemeDesignator = "a", "99X"
    outer.PurposeOfReferenceCodeSequence = [inner, copy.deepcopy(inner)]
    outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    ds.SourceImageSequence = [outer, copy.deepcopy(outer)]
    ds["SourceImageSequence"].is_undefined_length = True
    ds.AnatomicRegionSequence[0].is_undefined_length_sequence_item = True
    ds.ReferencedSeriesSequence = []
    return ds


def small(transfer_syntax: str) -> Dataset:
    ds = nested(photograph(rows=4, columns=4))
    ds.file_meta.TransferSyntaxUID = transfer_syntax
    if transfer_syntax == JPEGBaseline8Bit:
        ds.PixelData = encapsulate([b"\xff\xd8 one \xff\xd9", b"\xff\xd8 two \xff\xd9"])
    elif transfer_syntax == ExplicitVRBigEndian:
        ds["PixelData"].VR = "OB"
    return ds


def part10(content: bytes, transfer_syntax: str, path: Path) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = transfer_syntax
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        pydicom.filewriter.write_file_meta_info(file, meta)
        file.write(content)
    return path


def boundaries(ds: Dataset) -> set[int]:
    """The places between two top-level elements, where a cut leaves another whole data set."""
    places = set()
    shorter = copy.deepcopy(ds)
    for element in reversed(list(ds)):
        places.add(len(data_set_of(shorter)) if "SOPInstanceUID" in shorter else 0)
        del shorter[element.tag]
    return places


@pytest.mark.parametrize("transfer_syntax", [*UNCOMPRESSED, JPEGBaseline8Bit])
def test_every_cut_inside_an_element_is_seen(transfer_syntax: str, tmp_path: Path) -> None:
    ds = small(transfer_syntax)
    content, whole = data_set_of(ds), boundaries(ds)
    first_known = min(place for place in whole if place)
    for cut in range(first_known, len(content) + 1):
        path = part10(content[:cut], transfer_syntax, tmp_path / "cut.dcm")
        # One zero byte of a big endian tag cannot be told from padding.
        padding = transfer_syntax == ExplicitVRBigEndian and cut - 1 in whole and content[cut - 1] == 0
        assert is_complete(path) == (cut in whole or padding), cut


def test_every_cut_of_a_deflated_data_set_is_seen(tmp_path: Path) -> None:
    content = data_set_of(small(DeflatedExplicitVRLittleEndian))
    assert is_complete(part10(content, DeflatedExplicitVRLittleEndian, tmp_path / "a"))
    end = len(content.rstrip(b"\0"))
    for cut in range(end - 1):
        path = part10(content[:cut], DeflatedExplicitVRLittleEndian, tmp_path / "cut.dcm")
        assert not is_complete(path), cut


@pytest.mark.parametrize("zeros", [1, 2, 7, 8, 9, 4096])
def test_padding_behind_the_last_element_is_tolerated(zeros: int, tmp_path: Path) -> None:
    content = data_set_of(small(ExplicitVRLittleEndian)) + bytes(zeros)
    assert is_complete(part10(content, ExplicitVRLittleEndian, tmp_path / "a.dcm"))


def test_unknown_sequences_of_undefined_length_hold_implicit_items(tmp_path: Path) -> None:
    unknown = (
        b"\x09\x00\x10\x10UN\x00\x00\xff\xff\xff\xff"  # (0009,1010) UN, undefined length
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff"  # item
        b"\x08\x00\x00\x01\x04\x00\x00\x00abcd"  # an implicit element
        b"\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    )
    assert is_complete(part10(unknown, ExplicitVRLittleEndian, tmp_path / "a.dcm"))
    assert not is_complete(part10(unknown[:-8], ExplicitVRLittleEndian, tmp_path / "b.dcm"))


@given(
    content=st.binary(max_size=400), transfer_syntax=st.sampled_from([*UNCOMPRESSED, DeflatedExplicitVRLittleEndian])
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_an_answer(content: bytes, transfer_syntax: str, tmp_path: Path) -> None:
    assert is_complete(part10(content, transfer_syntax, tmp_path / "any.dcm")) in {True, False}


def test_nesting_without_end_gets_an_answer(tmp_path: Path) -> None:
    opening = b"\x08\x00\x12\x21SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path = part10(opening * 100_000, ExplicitVRLittleEndian, tmp_path / "deep.dcm")
    assert not is_complete(path)
