"""What an archive has: C-FIND in the Study Root information model (PS3.4 annex C).

Asked for are UIDs, dates and times of studies, modalities and SOP classes, and nothing else; nothing of an answer is
logged. Values are read as the bytes that came: all of these are ASCII whatever the character set of the answer is, so
one that names an unknown character set is as good as any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import structlog
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from ocunet_pacs.domain.audit import AuditOutcome, Party, Queried, audit_nothing
from ocunet_pacs.domain.backfill import FoundSeries, FoundStudy, Listing
from ocunet_pacs.domain.errors import ArchiveError, ArchiveMisconfigured, ArchiveUnavailable
from ocunet_pacs.intake.contexts import STORED_SOP_CLASSES
from ocunet_pacs.intake.requestor import associated
from ocunet_pacs.logs import study_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from pynetdicom.association import Association

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.dates import Window
    from ocunet_pacs.intake.requestor import ArchivePeer

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root Query/Retrieve Information Model - FIND."""

_UID = re.compile(r"[0-9.]{1,64}")
_OUT_OF_RESOURCES = 0xA700
_CANCELLED = 0xFE00
"""Also what archives answer with that stop at a number of matches, as Orthanc does."""


class _Refused(Exception):
    """A query that the archive does not take; the status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"0x{status:04X}")


class _Broken(ArchiveError):
    """The association ended in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    rows: list[dict[str, str]]
    complete: bool
    refused: int | None = None
    """The status of a query that the archive does not take."""


class Query:
    """Questions to one archive, an association each. For one thread."""

    def __init__(self, peer: ArchivePeer, calling_ae_title: str, audit: Audit = audit_nothing) -> None:
        self._peer = peer
        self._audit = audit
        self._calling_ae_title = calling_ae_title
        self._asks_modalities = peer.match_modalities
        self._shown_to_match = False

    def list_studies(self, window: Window, modalities: Sequence[str]) -> Listing:
        """See `Archive.list_studies`.

        Matching by Modalities in Study is optional (PS3.4 table C.6-5), and archives without it ignore the key, refuse
        it, or find nothing. So "nothing" is believed only after the archive has found something by it once.
        """
        if self._asks_modalities:
            try:
                listing = _merged([self._studies(window, modality) for modality in modalities])
            except _Refused as refused:
                self._asks_modalities = False
                structlog.get_logger().info(
                    "archive_does_not_match_modalities", archive=self._peer.name, status=str(refused)
                )
            else:
                self._shown_to_match = self._shown_to_match or bool(listing.studies)
                if self._shown_to_match or not listing.complete:
                    return _of_modalities(listing, modalities)
        try:
            listing = self._studies(window, "")
        except _Refused as refused:
            raise ArchiveMisconfigured(
                f"{self._peer.name}: it refuses to be asked for studies by date (status {refused})"
            ) from refused
        return _of_modalities(listing, modalities)

    def list_series(self, study_instance_uid: str, modalities: Sequence[str]) -> list[FoundSeries]:
        """See `Archive.list_series`. ArchiveError when only a part is listed."""
        found = []
        with self._associated() as association:
            series = self._everything(
                association,
                _identifier("SERIES", StudyInstanceUID=study_instance_uid, SeriesInstanceUID="", Modality=""),
            )
            for row in series:
                uid = row.get("SeriesInstanceUID", "")
                if row.get("Modality", "").upper() not in modalities or _UID.fullmatch(uid) is None:
                    continue
                images = self._everything(
                    association,
                    _identifier(
                        "IMAGE",
                        StudyInstanceUID=study_instance_uid,
                        SeriesInstanceUID=uid,
                        SOPInstanceUID="",
                        SOPClassUID="",
                    ),
                )
                found.append(FoundSeries(uid, tuple(_taken(images))))
        return found

    def _associated(self) -> AbstractContextManager[Association]:
        context = build_context(FIND, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        return associated(self._peer, self._calling_ae_title, [context])

    def _studies(self, window: Window, modality: str) -> Listing:
        identifier = _identifier(
            "STUDY",
            StudyDate=_dates(window),
            StudyTime="" if window.is_whole else _times(window),
            StudyInstanceUID="",
            ModalitiesInStudy=modality,
        )
        try:
            with self._associated() as association:
                answer = self._ask(association, identifier)
        except _Broken as broken:
            raise ArchiveUnavailable(str(broken)) from broken
        if answer.refused is not None:
            raise _Refused(answer.refused)
        studies = [study for row in answer.rows if (study := _study(row, window)) is not None]
        return Listing(studies, answer.complete)

    def _everything(self, association: Association, identifier: Dataset) -> list[dict[str, str]]:
        level = str(identifier.QueryRetrieveLevel).lower()
        answer = self._ask(association, identifier)
        if answer.refused is not None:
            raise ArchiveError(
                f"{self._peer.name}: it refuses to list at {level} level (status 0x{answer.refused:04X})"
            )
        if not answer.complete:
            raise ArchiveError(f"{self._peer.name}: it listed only a part of one study at {level} level")
        return answer.rows

    def _ask(self, association: Association, identifier: Dataset) -> _Answer:
        """Send one C-FIND and read all of its answers, with a word of it to the audit trail. _Broken."""
        outcome = AuditOutcome.MINOR_FAILURE
        try:
            answer = self._answer(association, identifier)
            if answer.refused is None:
                outcome = AuditOutcome.SUCCESS
        finally:
            syntax = association.accepted_contexts[0].transfer_syntax[0]
            encoded = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian) or b""
            archive = Party(self._peer.name, self._peer.ae_title, self._peer.host)
            self._audit(Queried(archive, FIND, encoded, str(syntax), outcome))
        return answer

    def _answer(self, association: Association, identifier: Dataset) -> _Answer:
        rows: list[dict[str, str]] = []
        complete = True
        keywords = [element.keyword for element in identifier]
        for status, answer in association.send_c_find(identifier, FIND):
            if "Status" not in status:
                raise _Broken(f"{self._peer.name}: the association broke, or it said nothing for too long, in a query")
            code = int(status.Status)
            if code in {0xFF00, 0xFF01}:
                if answer is None:
                    # An identifier that cannot be decoded: something is there, and we do not know what.
                    complete = False
                else:
                    rows.append({keyword: _value(answer, keyword) for keyword in keywords})
            elif code in {_CANCELLED, _OUT_OF_RESOURCES} or code >> 12 == 0xB:
                complete = False
            elif code != 0x0000:
                return _Answer([], complete=False, refused=code)
        return _Answer(rows, complete)


def _identifier(level: str, **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _value(answer: Dataset, keyword: str) -> str:
    """The element's bytes as text, without padding; "" when it is absent."""
    element = answer.get_item(Tag(keyword))
    value = None if element is None else element.value
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip(" \0")
    return "" if value is None else str(value).strip(" \0")


def _dates(window: Window) -> str:
    """Range matching (PS3.4 section C.2.2.2.5)."""
    first, last = f"{window.first:%Y%m%d}", f"{window.last:%Y%m%d}"
    return first if first == last else f"{first}-{last}"


def _times(window: Window) -> str:
    """From the first second to the last one, which is included."""
    return "-".join(
        f"{second // 3600:02}{second // 60 % 60:02}{second % 60:02}" for second in (window.begin, window.end - 1)
    )


def _study(row: dict[str, str], window: Window) -> FoundStudy | None:
    """None for what was not asked for (an archive that ignores the date), or what cannot be referred to."""
    uid = row["StudyInstanceUID"]
    if _UID.fullmatch(uid) is None:
        structlog.get_logger().warning("study_without_usable_uid", study=study_digest(uid))
        return None
    day = _day(row["StudyDate"])
    if day is not None and not window.first <= day <= window.last:
        return None
    modalities = tuple(word.strip().upper() for word in row["ModalitiesInStudy"].split("\\") if word.strip())
    return FoundStudy(uid, day or window.first, _seconds(row["StudyTime"]), modalities)


def _day(text: str) -> date | None:
    digits = text.replace(".", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _seconds(text: str) -> int:
    digits = text.replace(":", "").partition(".")[0].ljust(6, "0")[:6]
    if not digits.isdecimal():
        return 0
    clock = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:6]))
    return int(clock.total_seconds())


def _merged(listings: Sequence[Listing]) -> Listing:
    studies = {study.study_instance_uid: study for listing in listings for study in listing.studies}
    return Listing(list(studies.values()), all(listing.complete for listing in listings))


def _of_modalities(listing: Listing, modalities: Sequence[str]) -> Listing:
    """Without the studies of which the archive itself says that they hold none of these."""
    wanted = set(modalities)
    kept = [study for study in listing.studies if not study.modalities or wanted.intersection(study.modalities)]
    return Listing(kept, listing.complete)


def _taken(images: list[dict[str, str]]) -> Iterator[str]:
    """The objects of SOP classes that we store; where the archive does not tell the class, every one."""
    for image in images:
        uid, sop_class = image.get("SOPInstanceUID", ""), image.get("SOPClassUID", "")
        if _UID.fullmatch(uid) and (not sop_class or sop_class in STORED_SOP_CLASSES):
            yield uid
