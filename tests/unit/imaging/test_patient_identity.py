"""Whom an object names: what counts as the same patient, and that both readers agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.intake.identity import read_identity
from tests.integration.objects import photograph, write

if TYPE_CHECKING:
    from pathlib import Path

USUAL = {"PatientName": "Testperson^Erika", "PatientID": "T-4711", "PatientBirthDate": "19600130"}


def identity(folder: Path, **values: Any) -> str:
    """Of a file with these values (None: absent), as both readers say."""
    ds = photograph()
    for keyword, value in (USUAL | values).items():
        if value is None:
            ds.pop(keyword, None)
        else:
            setattr(ds, keyword, value)
    path = write(ds, folder / "a.dcm")
    header = read_header(path)
    assert read_identity(path).patient_identity == header.patient_identity
    assert len(header.patient_identity) == 64
    assert header.patient_identity not in repr(header)
    return header.patient_identity


@pytest.mark.parametrize(
    "same",
    [
        {"PatientName": "TESTPERSON^ERIKA"},
        {"PatientName": "Testperson^Erika^^^"},
        {"PatientName": " Testperson ^ Erika "},
        {"PatientName": "Testperson^Erika=試験^恵里香=しけん^えりか"},
        {"PatientID": "T-4711 "},
        {"PatientID": "t-4711"},
        {"SpecificCharacterSet": None},
        {"IssuerOfPatientID": ""},
        {"PatientSex": "F", "PatientAge": "060Y", "StudyDescription": "another"},
    ],
)
def test_spelling_that_does_not_count(same: dict[str, Any], tmp_path: Path) -> None:
    assert identity(tmp_path, **same) == identity(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "T-4712"},
        {"PatientID": None},
        {"PatientName": "Testperson^Erich"},
        {"PatientName": "Testperson Erika"},
        {"PatientName": None},
        {"PatientBirthDate": "19600131"},
        {"PatientBirthDate": None},
        {"IssuerOfPatientID": "CLINIC B"},
        {"PatientName": "T-4711", "PatientID": "Testperson^Erika"},
    ],
)
def test_what_counts_as_another_patient(other: dict[str, Any], tmp_path: Path) -> None:
    assert identity(tmp_path, **other) != identity(tmp_path)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Иванов^Павел"),
        ("GB18030", "王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_a_patient_is_the_same_in_every_character_set(character_set: Any, name: str, tmp_path: Path) -> None:
    assert identity(tmp_path, SpecificCharacterSet=character_set, PatientName=name) == identity(
        tmp_path, SpecificCharacterSet="ISO_IR 192", PatientName=name
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    character_set=st.sampled_from([b"ISO_IR 192", b"ISO_IR 100", b"ISO 2022 IR 6\\ISO 2022 IR 87", b"nonsense", b""]),
    name=st.binary(max_size=40),
    number=st.binary(max_size=20),
)
def test_both_readers_agree_on_any_bytes(character_set: bytes, name: bytes, number: bytes, tmp_path: Path) -> None:
    ds = photograph()
    content = write(ds, tmp_path / "a.dcm").read_bytes()
    path = tmp_path / "b.dcm"
    for tag, vr, value in (
        (b"\x08\x00\x05\x00", b"CS", character_set),
        (b"\x10\x00\x10\x00", b"PN", name),
        (b"\x10\x00\x20\x00", b"LO", number),
    ):
        start = content.index(tag + vr)
        length = int.from_bytes(content[start + 6 : start + 8], "little")
        padded = value + b" " * (len(value) % 2)
        content = content[: start + 6] + len(padded).to_bytes(2, "little") + padded + content[start + 8 + length :]
    path.write_bytes(content)
    assert read_identity(path).patient_identity == read_header(path).patient_identity
