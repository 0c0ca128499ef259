"""Series come from an archive: C-GET over one association, or C-MOVE to our listener (PS3.4 section C.4).

With C-GET the archive sends each object as C-STORE over our own association; it goes the way of every object that the
listener receives, spooled to a file and through `Reception`, and is answered with the same statuses.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage,
    OphthalmicOpticalCoherenceTomographyEnFaceImageStorage,
    OphthalmicTomographyImageStorage,
    StereometricRelationshipStorage,
)
from pynetdicom import build_role, evt
from pynetdicom.presentation import build_context

from ocunet_pacs.domain.backfill import Retrieved
from ocunet_pacs.domain.errors import (
    ArchiveError,
    ArchiveMisconfigured,
    DatabaseError,
    OcunetError,
    StoreError,
    StoreFull,
)
from ocunet_pacs.imaging.pixels import TRANSFER_SYNTAXES
from ocunet_pacs.intake.admission import LEDGER_FAILED, NO_DATA_SET, OUT_OF_SPACE, STORE_FAILED, Refusal, Status
from ocunet_pacs.intake.contexts import STORED_SOP_CLASSES
from ocunet_pacs.intake.reception import StoreRequest
from ocunet_pacs.intake.requestor import associated
from ocunet_pacs.intake.wire import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom.uid import UID
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

    from ocunet_pacs.intake.reception import Receipt, Reception
    from ocunet_pacs.intake.requestor import ArchivePeer

GET = "1.2.840.10008.5.1.4.1.2.2.3"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
"""Study Root Query/Retrieve Information Model - GET and MOVE."""

_MOVE_PATIENCE = 10.0
"""An archive need not say anything while it sends by C-MOVE: pending responses are optional (PS3.7 section 9.1.4)."""
_DESTINATION_UNKNOWN = 0xA801
_MEANINGS = {
    0xA701: "out of resources, it cannot count the matches",
    0xA702: "out of resources, it cannot send",
    0xA900: "it does not understand the request",
    0xB000: "some could not be sent",
    0xFE00: "it cancelled",
    0x0122: "it does not offer this service",
    0x0124: "not authorised",
    0x0211: "unrecognised operation",
}
# Kept for context, never analysed: any encoding will do, so they share one presentation context each. An association
# has 128 at most (PS3.8 section 9.3.2.2: odd numbers below 256).
_IN_ANY_ENCODING = frozenset(
    {
        StereometricRelationshipStorage,
        OphthalmicTomographyImageStorage,
        OphthalmicOpticalCoherenceTomographyEnFaceImageStorage,
        OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage,
    }
)


# What is offered, in turn, until all comes. Archives on dcmtk send every object of a class in the first context of it
# that they accepted, and fail where the object is kept in another encoding; what a camera's archive keeps is JPEG.
_OFFERS = (
    TRANSFER_SYNTAXES,
    (JPEGBaseline8Bit,),
    tuple(syntax for syntax in TRANSFER_SYNTAXES if syntax.is_encapsulated and syntax != JPEGBaseline8Bit),
)


def retrieval_contexts(syntaxes: Sequence[UID] = TRANSFER_SYNTAXES) -> list[PresentationContext]:
    """C-GET, and each photograph's class in each transfer syntax by itself.

    The archive chooses one transfer syntax in each context, before it knows what it will send: offered together it
    would choose one of them and decode, encode or refuse every object that is kept in another.
    """
    contexts = [build_context(GET, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]
    for sop_class in STORED_SOP_CLASSES:
        if sop_class in _IN_ANY_ENCODING:
            contexts.append(build_context(sop_class, list(syntaxes)))
        else:
            contexts += [build_context(sop_class, syntax) for syntax in syntaxes]
    return contexts


class GetRetrieval:
    """C-GET of some series of one study. Made anew for each study."""

    def __init__(self, peer: ArchivePeer, calling_ae_title: str, reception: Reception) -> None:
        self._peer = peer
        self._calling_ae_title = calling_ae_title
        self._reception = reception
        self._refusals: Counter[str] = Counter()
        self._trouble: OcunetError | None = None

    def retrieve(self, study_instance_uid: str, series_instance_uids: Sequence[str]) -> Retrieved:
        """See `Archive.retrieve`."""
        first: list[str] = []
        left = list(series_instance_uids)
        for syntaxes in _OFFERS:
            problems = self._attempt(syntaxes, study_instance_uid, left, must=syntaxes is _OFFERS[0])
            first = first or list(problems.values())
            left = list(problems)
            if not left or self._refusals:
                break
        said = first if left else []
        said += [f"{number} refused here ({comment})" for comment, number in self._refusals.items()]
        return Retrieved("; ".join(dict.fromkeys(said)))

    def _attempt(
        self, syntaxes: Sequence[UID], study_uid: str, series_uids: Sequence[str], *, must: bool
    ) -> dict[str, str]:
        """What did not come, with the reason, by series."""
        problems: dict[str, str] = {}
        with associated(
            self._peer,
            self._calling_ae_title,
            retrieval_contexts(syntaxes),
            reception=self._reception,
            roles=[build_role(sop_class, scp_role=True) for sop_class in STORED_SOP_CLASSES],
            handlers=[(evt.EVT_C_STORE, self._on_store)],
        ) as association:
            if must:
                self._require_roles(association)
            elif not _gives_photographs(association):
                return dict.fromkeys(series_uids, "")
            for uid in series_uids:
                problem = _problem(self._peer, self._statuses(association, study_uid, uid))
                if problem:
                    problems[uid] = problem
        return problems

    def _require_roles(self, association: Association) -> None:
        accepted = association.accepted_contexts
        if not any(cx.abstract_syntax == GET for cx in accepted):
            raise ArchiveMisconfigured(f"{self._peer.name}: it does not offer C-GET; set retrieve: move for it")
        if not _gives_photographs(association):
            raise ArchiveMisconfigured(
                f"{self._peer.name}: it sends no photographs by C-GET (it did not agree that we store them: role "
                "selection); set retrieve: move for it"
            )

    def _statuses(self, association: Association, study_uid: str, series_uid: str) -> Iterator[Dataset]:
        for status, _failed in association.send_c_get(_series(study_uid, series_uid), GET):
            if self._trouble is not None:
                # Whatever else it sends could not be kept either.
                raise self._trouble
            yield status

    def _on_store(self, event: evt.Event) -> Dataset:
        request = StoreRequest(
            calling_ae_title=self._peer.ae_title,
            abstract_syntax_uid=str(event.context.abstract_syntax),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            affected_sop_class_uid=str(event.request.AffectedSOPClassUID),
            affected_sop_instance_uid=str(getattr(event.request, "AffectedSOPInstanceUID", "")),
            source=self._peer.source,
            way="backfill",
            address=self._peer.host,
            asked_for=True,
        )
        taken: Receipt | Refusal = NO_DATA_SET
        spool = getattr(event.request, "DataSet", None)
        if isinstance(spool, Spool):
            file = spool.take()
            if spool.error is not None:
                taken = self._reception.refuse(request, spool.error)
            elif file is not None:
                taken = self._reception.receive(request, file)
        answer = Dataset()
        answer.Status = int(Status.SUCCESS)
        if isinstance(taken, Refusal):
            self._note(taken)
            answer.Status, answer.ErrorComment = int(taken.status), taken.comment
        return answer

    def _note(self, refusal: Refusal) -> None:
        self._refusals[refusal.comment] += 1
        if refusal == OUT_OF_SPACE:
            self._trouble = StoreFull("there is no room for another file; free some, and run again")
        elif refusal == STORE_FAILED:
            self._trouble = StoreError("the store does not take files; the lines above say why")
        elif refusal == LEDGER_FAILED:
            self._trouble = DatabaseError("received objects could not be recorded; the lines above say why")


def retrieve_by_move(
    peer: ArchivePeer, our_ae_title: str, study_instance_uid: str, series_instance_uids: Sequence[str]
) -> Retrieved:
    """Let the archive send the series to `our_ae_title`: to where it thinks that is. See `Archive.retrieve`."""
    problems: list[str] = []
    context = build_context(MOVE, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    with associated(peer, our_ae_title, [context], patience=_MOVE_PATIENCE) as association:
        for uid in series_instance_uids:
            answers = association.send_c_move(_series(study_instance_uid, uid), our_ae_title, MOVE)
            statuses = _last_of(status for status, _failed in answers)
            if statuses.get("Status") == _DESTINATION_UNKNOWN:
                raise ArchiveMisconfigured(
                    f"{peer.name}: it does not know {our_ae_title} as destination of C-MOVE (status 0xA801); configure "
                    f"AE title {our_ae_title} there, with the host and port that our listener has"
                )
            problem = _problem(peer, iter([statuses]))
            problems += [problem] if problem else []
    if problems:
        problems.append(f"check that the archive has the host and port of {our_ae_title}, and that our listener runs")
    return Retrieved("; ".join(dict.fromkeys(problems)), may_still_arrive=True)


def _series(study_instance_uid: str, series_instance_uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID = study_instance_uid
    identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def _last_of(statuses: Iterator[Dataset]) -> Dataset:
    last = Dataset()
    for status in statuses:
        last = status
    return last


def _gives_photographs(association: Association) -> bool:
    return any(cx.as_scp for cx in association.accepted_contexts if cx.abstract_syntax != GET)


def _problem(peer: ArchivePeer, statuses: Iterator[Dataset]) -> str:
    """What the last status says about what did not go well, "" when all did. ArchiveError when there was none."""
    last = _last_of(statuses)
    if "Status" not in last:
        raise ArchiveError(f"{peer.name}: the association broke, or it said nothing for too long, while it was sending")
    code = cast("int", last.Status)
    failed = int(last.get("NumberOfFailedSuboperations") or 0)
    if code == 0x0000 and not failed:
        return ""
    meaning = _MEANINGS.get(code, "it failed")
    return f"status 0x{code:04X}, {meaning}" + (f" ({failed} failed)" if failed else "")
