"""What happens to one received object: checked, named, recorded, and only then acknowledged. Knows no network."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
from pydicom.uid import UID, OphthalmicPhotography8BitImageStorage, OphthalmicPhotography16BitImageStorage

from ocunet_pacs.domain.audit import Party, Patient, Received, audit_nothing
from ocunet_pacs.domain.errors import BadInput, DatabaseError, DatabaseFull, RateExceeded, StoreError, StoreFull
from ocunet_pacs.domain.ports import count_nothing
from ocunet_pacs.domain.study import ReceivedInstance
from ocunet_pacs.intake import admission
from ocunet_pacs.intake.access import UNLISTED, SourceRule
from ocunet_pacs.intake.admission import Refusal
from ocunet_pacs.intake.completeness import is_complete
from ocunet_pacs.logs import Study

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from _typeshed import ReadableBuffer

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.domain.study import Arrival, ImageHeader
    from ocunet_pacs.intake.access import Pace


_NEVER_OURS = frozenset((OphthalmicPhotography8BitImageStorage, OphthalmicPhotography16BitImageStorage))
"""What nearly everything is that comes in, and none of what we make: the ledger need not be asked."""
_BY_DICOM = frozenset({"dicom", "backfill"})
"""Ways on which a sender has an AE title; on the others one stands for it."""


class IncomingFile(Protocol):
    """A file while it is received; it vanishes with `discard` unless the store adopted it."""

    @property
    def path(self) -> Path:
        """Where the bytes lie for now."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of them."""

    def write(self, data: ReadableBuffer) -> None:
        """Append all of `data`. StoreFull, StoreError."""

    def close(self) -> None:
        """Finish writing. StoreFull, StoreError."""

    def discard(self) -> None:
        """Close and remove, if it is still there. StoreError."""


class IncomingStore(Protocol):
    """The part of the file store that receiving needs."""

    def open_incoming(self, token: str) -> IncomingFile:
        """A new, empty incoming file. StoreFull, StoreError."""

    def adopt(self, temporary: Path, key: str) -> None:
        """Make a finished incoming file durable under `key`. StoreFull, StoreError."""

    def remove(self, key: str) -> None:
        """Remove a file. StoreError."""

    def free_bytes(self) -> int:
        """Room left. StoreError."""

    def has(self, key: str) -> bool:
        """Whether there is a file of that name. StoreError."""

    def new_instance_key(self, token: str) -> str:
        """A key that says nothing about the object."""

    def pseudonym(self, identity: str) -> str:
        """What stands in the ledger for a patient. StoreError."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE request, or its equal on another way in, without its data set."""

    calling_ae_title: str
    abstract_syntax_uid: str
    transfer_syntax_uid: str
    affected_sop_class_uid: str
    affected_sop_instance_uid: str
    source: SourceRule = UNLISTED
    way: str = "dicom"
    """How it came; a label of the count."""
    address: str = ""
    """Of the sender's machine; "" where the way knows none."""
    asked_for: bool = False
    """We fetched it; it was not sent unasked."""
    only_study_uid: str = ""
    """Where it is given, objects of any other study are refused."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """An object that is durable now, file and row."""

    study_instance_uid: str
    is_new: bool
    """False for one that was there already."""
    opens_study: bool
    """False for our own results coming back."""


class Reception:
    """Takes received objects into the store and the ledger. Used by many threads at once.

    `new_token` gives 32 hexadecimal digits that were never given before (a random UUID's); `now` gives aware UTC.
    Without a `pace` sources may send as fast as they like.
    """

    def __init__(
        self,
        files: IncomingStore,
        ledger: Ledger,
        *,
        read_header: Callable[[Path], ImageHeader],
        now: Callable[[], datetime],
        new_token: Callable[[], str],
        min_free_bytes: int,
        pace: Pace | None = None,
        count: Count = count_nothing,
        audit: Audit = audit_nothing,
    ) -> None:
        self._files = files
        self._ledger = ledger
        self._read_header = read_header
        self._now = now
        self._new_token = new_token
        self._min_free_bytes = min_free_bytes
        self._pace = pace
        self._count = count
        self._audit = audit
        self._undecided: deque[tuple[str, str]] = deque()

    def open(self, source: SourceRule) -> IncomingFile:
        """A file for the next object. StoreFull when there is no room for one, RateExceeded when it comes too soon."""
        if self._pace is not None and not self._pace.may_send(source):
            raise RateExceeded(f"source {source.name} sends more objects a minute than its settings allow")
        self.require_room()
        return self._files.open_incoming(self._new_token())

    def require_room(self) -> None:
        """StoreFull when less is free than the site wants to keep free."""
        if self._files.free_bytes() < self._min_free_bytes:
            raise StoreFull("less disk space is free than the settings keep free")

    def receive(self, request: StoreRequest, file: IncomingFile) -> Receipt | Refusal:
        """Take the object, or say why not; a receipt means it is durable. Logs one line, counts, and never raises.

        The file is gone afterwards unless it was adopted. An object that is there already is acknowledged and not
        stored again.
        """
        log = _log_for(request)
        try:
            taken = self._take(request, file, log)
            if isinstance(taken, Refusal):
                log.warning("instance_refused", status=f"0x{taken.status:04X}", reason=taken.comment)
                self._counted(request, "refused", taken.comment)
            else:
                self._counted(request, "stored" if taken.is_new else "repeated")
        except Exception as error:
            # The listener must survive whatever one object does to it.
            taken = refusal_for(error)
            log.exception("instance_failed", status=f"0x{taken.status:04X}", reason=taken.comment)
            self._counted(request, "failed", taken.comment)
        try:
            file.discard()
        except (StoreError, OSError) as error:
            log.warning("incoming_file_left_behind", exc_info=error)
        return taken

    def refuse(self, request: StoreRequest, error: Exception) -> Refusal:
        """The answer, logged and counted, to an object whose bytes could not be kept."""
        return self.turn_away(request, refusal_for(error))

    def turn_away(self, request: StoreRequest, refusal: Refusal) -> Refusal:
        """The answer, logged and counted, to an object that is refused before it was kept."""
        _log_for(request).warning("instance_refused", status=f"0x{refusal.status:04X}", reason=refusal.comment)
        self._counted(request, "refused", refusal.comment)
        return refusal

    def _counted(self, request: StoreRequest, outcome: str, reason: str = "") -> None:
        """The reasons are those of `admission`: a short list, and none holds a value of a data set."""
        self._count("instances", way=request.way, source=request.source.name, outcome=outcome, reason=reason)

    def _take(
        self, request: StoreRequest, file: IncomingFile, log: structlog.typing.FilteringBoundLogger
    ) -> Receipt | Refusal:
        file.close()
        self.require_room()
        try:
            header = self._read_header(file.path)
            complete = is_complete(file.path)
        except BadInput as error:
            return admission.unreadable(error.reason)
        refusal = admission.admit(
            request.affected_sop_class_uid, request.affected_sop_instance_uid, request.abstract_syntax_uid, header
        )
        if refusal is not None:
            return refusal
        if request.only_study_uid not in {"", header.study_instance_uid}:
            return admission.OTHER_STUDY
        if not complete:
            return admission.TRUNCATED
        instance, arrival, ours = self._record(request, file, header)
        log.info(
            "instance_stored" if arrival.added else "instance_restored" if arrival.healed else "instance_repeated",
            status="0x0000",
            study=Study(header.study_instance_uid),
            size_bytes=file.size,
            own_output=ours,
        )
        self._audit(_received(request, instance, arrival, header))
        if arrival.conflict:
            self._count("patient_conflicts")
            log.warning("patient_conflict", study=Study(header.study_instance_uid), stored=bool(arrival))
        return Receipt(header.study_instance_uid, is_new=arrival.added, opens_study=not ours)

    def _record(
        self, request: StoreRequest, file: IncomingFile, header: ImageHeader
    ) -> tuple[ReceivedInstance, Arrival, bool]:
        """File first, row second: (it, what became of it, whether we made the object)."""
        if not header.patient_identity:
            raise ValueError("the reader of headers does not say whom they name: patients could not be kept apart")
        ours = header.made_by_us or (
            header.sop_class_uid not in _NEVER_OURS and self._ledger.is_output(header.sop_instance_uid)
        )
        key = self._files.new_instance_key(self._new_token())
        instance = ReceivedInstance(
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            sop_instance_uid=header.sop_instance_uid,
            sop_class_uid=header.sop_class_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            file_key=key,
            size_bytes=file.size,
            sha256=file.sha256,
            source_ae_title=request.calling_ae_title,
            received_at=self._now(),
            opens_study=not ours,
            source=request.source.name,
            quiet_period=request.source.quiet_period,
            patient_digest=self._files.pseudonym(header.patient_identity),
        )
        self._files.adopt(file.path, key)
        try:
            arrival = self._ledger.record_instance(instance, self._files.has)
        except Exception:
            self._forget(key, header.sop_instance_uid)
            raise
        if not arrival:
            self._files.remove(key)
        self._settle()
        return instance, arrival, ours

    def _forget(self, key: str, sop_instance_uid: str) -> None:
        """Remove the file of a row that could not be written, but only when it is certain that no row names it.

        A commit whose answer got lost may have happened: a row without a file would be a lost image, whereas a file
        without a row is only litter. While the database cannot be asked, it stays undecided: on a disk that is full,
        litter would keep it full.
        """
        try:
            row = self._ledger.find_instance(sop_instance_uid)
        except DatabaseError:
            self._undecided.append((key, sop_instance_uid))
            return
        if row is None or row.file_key != key:
            self._files.remove(key)

    def _settle(self) -> None:
        """The database answers again: decide what was left open."""
        for _ in range(len(self._undecided)):
            try:
                key, sop_instance_uid = self._undecided.popleft()
            except IndexError:
                return  # another thread was quicker
            with suppress(StoreError):  # it stays as litter, which the check of the store finds
                self._forget(key, sop_instance_uid)


def refusal_for(error: Exception) -> Refusal:
    """The status that an error answers with."""
    if isinstance(error, RateExceeded):
        return admission.TOO_FAST
    if isinstance(error, StoreFull | DatabaseFull):
        return admission.OUT_OF_SPACE
    if isinstance(error, StoreError):
        return admission.STORE_FAILED
    if isinstance(error, DatabaseError):
        return admission.LEDGER_FAILED
    return admission.UNEXPECTED


def _received(request: StoreRequest, instance: ReceivedInstance, arrival: Arrival, header: ImageHeader) -> Received:
    return Received(
        Party(request.source.name, request.calling_ae_title if request.way in _BY_DICOM else "", request.address),
        instance.study_instance_uid,
        instance.sop_class_uid,
        Patient(instance.patient_digest, header.patient_number),
        is_new=arrival.added,
        asked_for=request.asked_for,
    )


def _log_for(request: StoreRequest) -> structlog.typing.FilteringBoundLogger:
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log.bind(
        calling_ae_title=request.calling_ae_title,
        source=request.source.name,
        sop_class=UID(request.affected_sop_class_uid).name,
        transfer_syntax=UID(request.transfer_syntax_uid).name,
    )
