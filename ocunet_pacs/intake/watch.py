"""What the name of an exported picture says, and which object the picture therefore becomes. Pure.

Nothing is guessed: a name that does not fit the site's pattern says nothing, and a word for an eye that is not known
leaves the eye unknown.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, time
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import Laterality

if TYPE_CHECKING:
    from collections.abc import Mapping

_EYES: Mapping[str, Laterality] = MappingProxyType(
    {
        **dict.fromkeys(("r", "od", "right"), Laterality.RIGHT),
        **dict.fromkeys(("l", "os", "left"), Laterality.LEFT),
    }
)
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".swp", "~")
_OF_THE_SYSTEM = frozenset({"thumbs.db", "desktop.ini"})
_LONGEST = MappingProxyType({"patient_id": 64, "patient_name": 64, "accession": 16, "study": 64})
"""Characters: Patient ID is LO, a component group of a PN has 64, Accession Number is SH (PS3.5 section 6.2)."""
_OLDEST = date(1900, 1, 1)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a name says; "" and None where it does not."""

    patient_id: str = ""
    patient_name: str = ""
    laterality: Laterality = Laterality.UNKNOWN
    date: date | None = None
    time: time | None = None
    accession: str = ""
    study: str = ""


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Uids:
    """The UIDs of the object that a picture becomes."""

    study: str
    series: str
    instance: str


def is_ignored(name: str) -> bool:
    """Whether a file of this name is none that somebody exported: hidden, being written, or the system's own."""
    lower = name.lower()
    return lower.startswith((".", "~")) or lower.endswith(_UNFINISHED) or lower in _OF_THE_SYSTEM


def read_name(pattern: str, name: str) -> Facts | None:
    """What the name says without its extension; None where the pattern does not fit all of it, or a value cannot be.

    `pattern` is a regular expression with some of the groups patient_id, patient_name, laterality, date (YYYYMMDD or
    YYYYMMDDhhmmss, with or without marks between), accession and study.
    """
    stem = name.rpartition(".")[0] or name
    match = re.fullmatch(pattern, stem) if pattern else None
    if match is None:
        return None
    values = {group: (text or "").strip() for group, text in match.groupdict().items()}
    texts = {group: values.get(group, "") for group in _LONGEST}
    if any(not _can_stand(text, _LONGEST[group]) for group, text in texts.items()):
        return None
    day, clock = None, None
    if values.get("date"):
        moment = _moment(re.sub(r"\D", "", values["date"]))
        if moment is None:
            return None
        day, clock = moment
    eye = _EYES.get(values.get("laterality", "").lower(), Laterality.UNKNOWN)
    return Facts(laterality=eye, date=day, time=clock, **texts)


def taken_at(facts: Facts, exif: str, written: datetime) -> tuple[datetime, bool]:
    """When the picture was taken, and whether the time of day is known too.

    The name's date counts first, then EXIF's DateTimeOriginal (as it stands there), then when the file was `written`
    (aware, local time). EXIF and the file may add the time of day to the name's date, where their day is the same.
    """
    camera = _exif_moment(exif, written)
    if facts.date is None:
        return camera or written, True
    if facts.time is not None:
        return datetime.combine(facts.date, facts.time, written.tzinfo), True
    for other in (camera, written):
        if other is not None and other.date() == facts.date:
            return other, True
    return datetime.combine(facts.date, time(), written.tzinfo), False


def uids_for(folder: str, facts: Facts, day: date, content_sha256: str) -> Uids:
    """The same for the same picture with the same name's facts in the same folder, whenever it is taken in.

    Pictures of one patient and day (and accession number and group, where the name has them) come together in one
    study; a picture whose patient is not known is a study of its own, because the next may be somebody else's.
    """
    if facts.patient_id:
        study = derive_uid("watch-study", folder, facts.patient_id, facts.accession, facts.study, day.isoformat())
    else:
        study = derive_uid("watch-study-of-one", folder, content_sha256)
    said = (str(value) for value in astuple(facts))
    instance = derive_uid("watch-instance", folder, content_sha256, *said)
    return Uids(study, derive_uid("watch-series", study), instance)


def _can_stand(text: str, longest: int) -> bool:
    """Whether DICOM can hold the text: no backslash, no control characters, no bytes that are no characters."""
    return len(text) <= longest and "\\" not in text and (not text or text.isprintable())


def _moment(digits: str) -> tuple[date, time | None] | None:
    """Day and time of YYYYMMDD or YYYYMMDDhhmmss; None where there is no such day or time."""
    try:
        if len(digits) == 8:
            day = datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC).date()
            return (day, None) if day >= _OLDEST else None
        if len(digits) == 14:
            moment = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            return (moment.date(), moment.time()) if moment.date() >= _OLDEST else None
    except ValueError:
        pass
    return None


def _exif_moment(text: str, written: datetime) -> datetime | None:
    """EXIF's "YYYY:MM:DD hh:mm:ss", which has no time zone: the camera's clock is taken for the machine's."""
    if re.fullmatch(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", text.strip("\0 "), re.ASCII) is None:
        return None
    found = _moment(re.sub(r"\D", "", text))
    return None if found is None or found[1] is None else datetime.combine(found[0], found[1], written.tzinfo)
