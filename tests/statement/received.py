"""What is read of the objects that we receive, what the site configures, and what a harvested copy keeps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydicom.charset import python_encoding
from pydicom.datadict import keyword_for_tag

from ocunet_pacs.imaging import header as reading
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.identity import IDENTIFYING
from ocunet_pacs.imaging.pixels import PIXEL_TAGS
from ocunet_pacs.intake import identity as listening
from ocunet_pacs.report import header as copying
from ocunet_pacs.settings.kinds import Section
from ocunet_pacs.settings.sample import section_of
from ocunet_pacs.settings.tree import Settings
from tests.statement.makings import ALSO_SAID, SAID
from tests.statement.objects import flat
from tests.statement.tables import by_tag, name_of, table, tag_of
from tests.unit.report.made import photograph
from training.harvest import deidentify

UTF_8 = "ISO_IR 192"
DICOM_SECTIONS = ("dicom", "tls", "sources", "eligibility", "assembly", "report", "destinations", "archives", "stow")


def sections() -> dict[str, str]:
    return {
        "attributes used": attributes_used(),
        "character sets": character_sets(),
        "settings": settings(),
        "harvested attributes": harvested(),
    }


def attributes_used() -> str:
    """By tag, with what each is read for."""
    kept = {keyword_for_tag(tag) for tag in listening._KEEP}
    uses = {
        "answering the sender": kept - set(IDENTIFYING),
        "telling patients apart": set(IDENTIFYING),
        "eligibility and eye": set(reading._DECIDING) - set(IDENTIFYING),
        "decoding": {keyword_for_tag(tag) for tag in PIXEL_TAGS},
        "copied into results": {*copying.REQUIRED, *copying.OPTIONAL},
        "results": set(copying._OF_THE_IMAGE),
    }
    every = {keyword for keywords in uses.values() for keyword in keywords}
    rows = (
        (name_of(keyword), tag_of(keyword), "; ".join(use for use, keywords in uses.items() if keyword in keywords))
        for keyword in by_tag(every)
    )
    return table(("attribute", "tag", "read for"), rows)


def character_sets() -> str:
    """Those that are decoded, as the values of Specific Character Set (0008,0005)."""
    every = sorted(term for term in python_encoding if term)
    kinds = {
        "single-byte without code extensions": [term for term in every if term.startswith("ISO_IR ") and term != UTF_8],
        "with code extensions": [term for term in every if term.startswith("ISO 2022 IR ")],
        "multi-byte without code extensions": [UTF_8, "GB18030", "GBK"],
    }
    assert set(kinds["multi-byte without code extensions"]) <= set(every)
    return table(("character sets", "defined terms"), ((kind, ", ".join(terms)) for kind, terms in kinds.items()))


def settings() -> str:
    return table(("setting", "default", "what it is"), _settings())


def _settings() -> Iterator[tuple[str, str, str]]:
    for name in DICOM_SECTIONS:
        section: type[Section] = section_of(Settings.model_fields[name].annotation)
        several = bool(get_args(Settings.model_fields[name].annotation))
        for key, described in section.model_fields.items():
            default = "to be given" if described.is_required() else _value(described.default)
            yield f"`{name}{'[]' if several else ''}.{key}`", default, str(described.description)


def _value(value: object) -> str:
    if value is None or value in ("", {}):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def harvested() -> str:
    """Of a photograph that says everything."""
    with tempfile.TemporaryDirectory() as folder:
        path = photograph(Path(folder) / "1.dcm", 1, shape=(96, 96), **SAID | ALSO_SAID | {"BurnedInAnnotation": "NO"})
        pseudonyms = deidentify.Pseudonyms(bytes(deidentify.KEY_BYTES))
        (copy,) = deidentify.deidentified(path, read_header(path), pseudonyms)
    rows = []
    for keywords, values in flat(copy.dataset).items():
        depth = len(keywords) - 1
        name = f"{'&gt;' * depth}{' ' * bool(depth)}{name_of(keywords[-1])}"
        rows.append((name, tag_of(keywords[-1]), _kept(keywords[-1], "; ".join(values))))
    return table(("attribute", "tag", "value"), rows)


def _kept(keyword: str, value: str) -> str:
    if keyword.endswith("UID") and value.startswith("2.25."):
        return "pseudonym"
    told = {
        "PatientID": "pseudonym",
        "PixelData": "as in the photograph",
        "ImageLaterality": "as in the photograph",
        "Manufacturer": "as in the photograph",
        "ManufacturerModelName": "as in the photograph",
        "Rows": "as in the photograph",
        "Columns": "as in the photograph",
    }
    return told.get(keyword, value or "empty")
