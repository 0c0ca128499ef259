"""What every status is answered for, and what every status that a peer may answer is taken for.

Whatever judges statuses is asked for all 65,536 of them, so that no table can leave one out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from ocunet_pacs.delivery.association import Destination
from ocunet_pacs.delivery.commitment import CommitmentRequestor
from ocunet_pacs.delivery.judgement import judge
from ocunet_pacs.domain.errors import DeliveryError, PeerBusy, PeerRefused
from ocunet_pacs.domain.study import ImageHeader, Reason, ReasonCode
from ocunet_pacs.intake import admission, commitment
from ocunet_pacs.intake.admission import Status
from ocunet_pacs.intake.arriving import Arrived
from ocunet_pacs.intake.retrieve import _problem
from ocunet_pacs.intake.stow_answer import Outcome
from ocunet_pacs.pipeline.delivering import _HOPELESS
from tests.statement.asking import PEER, Answer, Asking, Recorder
from tests.statement.tables import table

EVERY_STATUS = range(0x10000)
PENDING = (0xFF00, 0xFF01)
_ASKING = Asking(Recorder())


def sections() -> dict[str, str]:
    return {
        "store answers": store_answers(),
        "event answers": event_answers(),
        "stow answers": stow_answers(),
        "store judgements": judgements(lambda status: judge("x", status).note),
        "action judgements": judgements(_asked_to_commit),
        "failure reasons": failure_reasons(),
        "query judgements": by_status(_listed, ("status", "what the answer is taken for")),
        "retrieve judgements": by_status(_retrieved, ("status", "what it is taken for")),
    }


def store_answers() -> str:
    """Every status with its Error Comments: the fixed ones, and those of objects that are wrong in each way."""
    refusals = [value for value in vars(admission).values() if isinstance(value, admission.Refusal)]
    refusals += [admission.unreadable(Reason(code, "")) for code in ReasonCode]
    refusals += _of_wrong_objects()
    comments: dict[Status, list[str]] = {status: [] for status in Status}
    for refusal in dict.fromkeys(refusals):
        comments[refusal.status].append(refusal.comment)
    meanings = {
        Status.SUCCESS: "success: file and row are durable, now or since an earlier request",
        Status.PROCESSING_FAILURE: "processing failure",
        Status.SOP_CLASS_NOT_SUPPORTED: "SOP class not supported (STOW-RS: C-STORE cannot get that far)",
        Status.OUT_OF_RESOURCES: "refused: out of resources",
        Status.DATA_SET_DOES_NOT_MATCH: "error: data set does not match SOP class",
        Status.CANNOT_UNDERSTAND: "error: cannot understand",
        Status.TRANSFER_SYNTAX_NOT_SUPPORTED: "transfer syntax not supported (STOW-RS: C-STORE cannot get that far)",
    }
    rows = ((f"0x{status:04X}", meanings[status], "<br>".join(said)) for status, said in comments.items())
    return table(("status", "meaning", "Error Comment (0000,0902)"), rows)


def _of_wrong_objects() -> Iterator[admission.Refusal]:
    good = {
        "study_instance_uid": "1.2",
        "series_instance_uid": "1.2.3",
        "sop_instance_uid": "1.2.3.4",
        "sop_class_uid": "1.2.5",
    }
    cases = [("1.2.5", "1.2.5", good | {field: value}) for field in good for value in ("", "1.2.x", "1.2.99")]
    cases.append(("1.2.6", "1.2.5", good))
    for asked, negotiated, fields in cases:
        header = ImageHeader(**fields, transfer_syntax_uid="")
        refusal = admission.admit(asked, "1.2.3.4", negotiated, header)
        if refusal is not None:
            yield refusal


def event_answers() -> str:
    said = commitment.EventStatus
    meanings = {
        said.SUCCESS: "the rows are committed, or nobody waits for the transaction any more",
        said.PROCESSING_FAILURE: "the database cannot be asked now: report it again",
        said.NO_SUCH_EVENT_TYPE: "neither event type 1 nor 2",
        said.INVALID_ARGUMENT_VALUE: "Event Information cannot be read, or names no transaction or no object",
        said.NO_SUCH_SOP_CLASS: "it is not about the Storage Commitment Push Model",
        said.UNRECOGNISED_OPERATION: "the answer to N-ACTION: we commit to nothing for others",
    }
    return table(("status", "when"), ((f"0x{status:04X}", meanings[status]) for status in said))


def stow_answers() -> str:
    """The status of a request by what became of its parts."""

    def outcome(*parts: Status | None, malformed: str = "") -> int:
        refusals = [None if part is None else admission.Refusal(part, "") for part in parts]
        return Outcome([Arrived("1.2", "1.2.3", refusal) for refusal in refusals], malformed).status

    rows = [
        ("every object is stored, now or since an earlier request", outcome(None)),
        ("some are stored", outcome(None, Status.CANNOT_UNDERSTAND)),
        ("the body breaks off behind stored objects", outcome(None, malformed="cut")),
        ("none is stored, and none would be if they were sent again", outcome(Status.DATA_SET_DOES_NOT_MATCH)),
        ("none is stored, at least one for want of space", outcome(Status.OUT_OF_RESOURCES, Status.CANNOT_UNDERSTAND)),
        ("none is stored, at least one because of a failure here", outcome(Status.PROCESSING_FAILURE)),
        ("the body is not what its Content-Type says, or empty", outcome(malformed="no part")),
    ]
    return table(("what became of the request", "HTTP status"), rows)


def by_status(said: Callable[[int], tuple[str, ...]], head: tuple[str, ...]) -> str:
    """A table of what is said of every status; what is said of most stands last, as "any other"."""
    outcomes = {status: said(status) for status in EVERY_STATUS}
    usual = Counter(outcomes.values()).most_common(1)[0][0]
    ranges: dict[tuple[str, ...], list[list[int]]] = {}
    for status, outcome in outcomes.items():
        found = ranges.setdefault(outcome, [])
        if found and found[-1][1] == status - 1:
            found[-1][1] = status
        else:
            found.append([status, status])
    rows = [(_listing(found), *outcome) for outcome, found in ranges.items() if outcome != usual]
    return table(head, [*rows, ("any other", *usual)])


def _listing(ranges: list[list[int]]) -> str:
    return ", ".join(f"0x{a:04X}" + (f" to 0x{b:04X}" if b > a else "") for a, b in ranges)


def judgements(ask: Callable[[int], str]) -> str:
    """What becomes of the delivery for every status; `ask` returns what is noted of a good one."""

    def said(status: int) -> tuple[str, ...]:
        try:
            return "good", ask(status)
        except PeerBusy as error:
            return "busy: tried again with growing pauses", _words(error)
        except PeerRefused as error:
            return "refused: the dead list", _words(error)

    return by_status(said, ("status", "outcome", "noted as"))


def _words(error: DeliveryError) -> str:
    return str(error).removeprefix("x: ").partition(" (status")[0]


def _asked_to_commit(status: int) -> str:
    answer: Any = Answer(status)
    CommitmentRequestor(Destination("x", "X", "host", 104), "US", timedelta())._judge(answer)
    return "the report is awaited"


def failure_reasons() -> str:
    rows = [(f"0x{reason:04X}", "refused: the dead list", words) for reason, words in sorted(_HOPELESS.items())]
    rows.append(("any other, or none", "stored again and asked for again; costs an attempt", ""))
    return table(("Failure Reason (0008,1197)", "outcome", "noted as"), rows)


def _listed(status: int) -> tuple[str]:
    if status in PENDING:
        return ("one match, or what cannot be read of one",)
    answer = _ASKING.answer(status)
    if answer.refused is not None:
        return ("the query is refused",)
    return ("the end: everything is listed" if answer.complete else "the end: something is missing",)


def _retrieved(status: int) -> tuple[str]:
    answer: Any = Answer(status)
    problem = _problem(PEER, iter([answer]))
    return (problem.partition(", ")[2] if problem else "done; what came is looked up in the ledger",)
