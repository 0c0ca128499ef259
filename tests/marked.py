"""Objects in which everything that tells of a patient bears a mark, and the search for marks in what was written.

A mark is a word of its own for each element, so that a find says whose value got out. Where a representation holds no
words (dates, UIDs), the value is one that nothing else has.
"""

from __future__ import annotations

import json
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom.datadict import dictionary_VR, keyword_dict, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from tests.integration.objects import encoded, photograph

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUPS = frozenset({0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040})
_WORDS = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_TELL_WHOM = frozenset(
    {"PatientName", "PatientID", "PatientBirthDate", "SpecificCharacterSet", "StudyInstanceUID", "SOPInstanceUID"}
)
_DECIDES = frozenset({"ContrastBolusAgent"})
BIRTH_DATE, STUDY_DATE = "19170203", "19860417"
UID_ROOT = "1.2.826.0.1.3680043.8.498.775533"
SCRIPTS = ("鱲鸝", "やまだ", "Ψωμιάδης", "Щукина", "안녕길동", "ขวัญใจ", "مرحبا", "Weißenböck", "Łukasiewiczówna")
_SHAPES = {
    "mark": r"ZQ\d{3}J",
    "birth date": r"1917-?02-?03|0?3\.0?2\.1917",
    "study date": r"1986-?04-?17|17\.0?4\.1986",
    "UID": r"\.775533\d*",
    "script": "|".join(SCRIPTS),
}


@dataclass
class Marks:
    """The marks that were given out, each with what it marks."""

    given: dict[str, str] = field(default_factory=dict)

    def word(self, what: str) -> str:
        """A new mark for `what`: six characters, fit for every representation that holds text."""
        word = f"ZQ{len(self.given):03d}J"
        self.given[word] = what
        return word

    def uid(self) -> str:
        """A new UID that is known by its root."""
        return f"{UID_ROOT}{len(self.given):03d}.{self.word('UID')[2:5]}"

    def found(self, text: str) -> dict[str, str]:
        """What is told of patients in `text`, each with the words around it. JSON's escapes count as what they mean."""
        plain = text
        if "\\u" in text:
            plain += re.sub(r"(?:\\u[0-9a-fA-F]{4})+", lambda escape: str(json.loads(f'"{escape[0]}"')), text)
        found = {}
        for name, shape in _SHAPES.items():
            for match in re.finditer(shape, plain, re.IGNORECASE):
                what = self.given.get(match[0].upper(), name)
                found[what] = f"…{plain[max(match.start() - 80, 0) : match.end() + 40]}…"
        return found


def marked(marks: Marks, ds: Dataset) -> Dataset:
    """Everything in the data set that tells of patient, study, people and places, marked."""
    with _odd_values():
        for keyword, tag in keyword_dict.items():
            if tag >> 16 in _GROUPS and dictionary_VR(tag) in _WORDS and keyword not in _DECIDES:
                setattr(ds, keyword, marks.word(keyword))
        ds.PatientName = f"{marks.word('name')}^Ω{marks.word('given name')}=鱲鸝^太郎=やまだ^たろう"
        ds.OtherPatientNames = f"Щукина^{marks.word('other name')}"
        ds.PatientBirthDate = BIRTH_DATE
        ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = STUDY_DATE
        ds.PatientAge, ds.PatientSex = "069Y", "F"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = (marks.uid() for _ in range(3))
        ds.FrameOfReferenceUID = marks.uid()
        inner = Dataset()
        inner.PatientID, inner.IssuerOfPatientID = marks.word("other id"), marks.word("its issuer")
        ds.OtherPatientIDsSequence = [inner]
        request = Dataset()
        request.RequestedProcedureID = marks.word("requested procedure")
        request.RequestedProcedureDescription = marks.word("its description")
        request.ScheduledProcedureStepID = marks.word("scheduled step")
        ds.RequestAttributesSequence = [request]
        for group in (0x0009, 0x0029):
            block = ds.private_block(group, marks.word("private creator"), create=True)
            block.add_new(1, "LO", marks.word("private element"))
            block.add_new(2, "UN", marks.word("private bytes").encode())
    return ds


def eye(size: tuple[int, int] = (320, 240)) -> Dataset:
    """An uncompressed photograph that can be assessed."""
    ds = photograph(rows=size[1], columns=size[0])
    ds.PixelData = draw_fundus(seed=9, laterality=Laterality.RIGHT, size=size).tobytes()
    return ds


def odd(marks: Marks) -> Iterator[tuple[str, Dataset]]:
    """Small objects that are wrong, each in a way of its own that has a mark in it, in as few studies as can be."""
    first = _small(marks)
    for what, values in _wrong_values(marks).items():
        ds = _small(marks)
        if not values.keys() & _TELL_WHOM:
            for keyword in ("PatientName", "PatientID", "StudyInstanceUID"):
                setattr(ds, keyword, first[keyword].value)
        with _odd_values():
            for keyword, value in values.items():
                if value is None:
                    delattr(ds, keyword)
                elif isinstance(value, bytes):
                    tag = tag_for_keyword(keyword)
                    assert tag is not None
                    # As it was read: the bytes go out as they are.
                    ds[tag] = RawDataElement(Tag(tag), dictionary_VR(tag), len(value), value, 0, False, True)
                else:
                    setattr(ds, keyword, value)
        yield what, ds
    for charset, name in (
        ("ISO_IR 192", "".join(SCRIPTS)),
        ("ISO_IR 126", SCRIPTS[2]),
        ("ISO 2022 IR 149", SCRIPTS[4]),
    ):
        ds = _small(marks)
        with _odd_values():
            ds.SpecificCharacterSet, ds.PatientName = charset, f"{name}^{marks.word(charset)}"
        yield charset, ds


def unreadable(marks: Marks) -> Dataset:
    """A compressed photograph whose stream is no JPEG, and quotes the patient."""
    ds = _small(marks, rows=240, columns=320)
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PhotometricInterpretation = "YBR_FULL_422"
    comment = marks.word("JPEG comment").encode() + b" " * 6
    ds.PixelData = encapsulate([b"\xff\xd8\xff\xfe\x00\x0e" + comment + b"\xff\xda rubbish \xff\xd9"])
    ds["PixelData"].VR = "OB"
    return ds


def sent(ds: Dataset) -> bytes:
    """The data set as it goes over the wire."""
    with _odd_values():
        return encoded(ds)


def _small(marks: Marks, rows: int = 32, columns: int = 48) -> Dataset:
    ds = photograph(rows=rows, columns=columns)
    ds.PatientName, ds.PatientID = f"{marks.word('name')}^Ω", marks.word("id")
    ds.PatientBirthDate, ds.StudyDate = BIRTH_DATE, STUDY_DATE
    ds.AccessionNumber = marks.word("accession")
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = (marks.uid() for _ in range(3))
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    return ds


def _wrong_values(marks: Marks) -> dict[str, dict[str, Any]]:
    def word(what: str) -> str:
        return marks.word(what)

    return {
        "malformed": {
            "PatientBirthDate": word("birth date"),
            "StudyTime": word("study time"),
            "PatientAge": word("age"),
            "PatientWeight": word("weight").encode(),
            "NumberOfFrames": word("frames").encode(),
            "InstanceNumber": word("instance number").encode(),
        },
        "size that is no number": {"Rows": word("rows").encode()},
        "over-long": {
            "PatientName": word("long name") * 600,
            "PatientID": word("long id") * 100,
            "AccessionNumber": word("long accession") * 50,
            "StudyDescription": word("long description") * 1500,
        },
        "bytes of another character set": {"PatientName": b"\xff\xfe\x1b$B" + word("bytes").encode() + b"\x80"},
        "a character set that nobody knows": {"SpecificCharacterSet": word("character set")},
        "no patient": {"PatientName": None, "PatientID": None},
        "no study": {"StudyInstanceUID": None, "StudyDescription": word("description")},
        "no SOP Instance UID": {"SOPInstanceUID": None, "StudyDescription": word("description")},
        "a study UID that is none": {"StudyInstanceUID": word("study UID")},
        "a series UID that is none": {"SeriesInstanceUID": word("series UID")},
        "an instance UID that is none": {"SOPInstanceUID": word("instance UID")},
        "a class that is none": {"SOPClassUID": word("SOP class")},
        "colours that nobody knows": {"PhotometricInterpretation": word("photometric")},
        "image type": {"ImageType": ["ORIGINAL", "PRIMARY", "", word("image type")]},
        "laterality": {"ImageLaterality": word("laterality")},
        "contrast agent": {"ContrastBolusAgent": word("contrast agent")},
        "region": {"AnatomicRegionSequence": [_code(word("code"), word("code meaning"))]},
        "a line of the log": {"PatientName": f'{word("name")}\r\n{{"event": "{word("event")}"}}'},
    }


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "99ZQ", meaning
    return code


@contextmanager
def _odd_values() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
