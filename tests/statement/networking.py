"""Network services, presentation contexts, rejections and query keys: asked of the code that negotiates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom.presentation import PresentationContext

from ocunet_pacs.delivery import encodings
from ocunet_pacs.delivery.wire import Requestor
from ocunet_pacs.domain.dates import Window
from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.imaging.commitment import SOP_CLASS as COMMITMENT
from ocunet_pacs.imaging.commitment import TRANSFER_SYNTAXES as PLAIN
from ocunet_pacs.imaging.pixels import TRANSFER_SYNTAXES
from ocunet_pacs.intake import access, commitment, upper_layer
from ocunet_pacs.intake.contexts import STORED_SOP_CLASSES, VERIFICATION, supported_contexts
from ocunet_pacs.intake.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ocunet_pacs.intake.query import FIND
from ocunet_pacs.intake.retrieve import GET, MOVE, retrieval_contexts
from ocunet_pacs.intake.wire import MAX_PDU
from tests.statement.asking import Asking, Recorder
from tests.statement.tables import name_of, named, table, tag_of


def sections() -> dict[str, str]:
    return {
        "services": services(),
        "implementation": implementation(),
        "transfer syntaxes": transfer_syntaxes(),
        "listener contexts": contexts([*supported_contexts(), commitment.supported_context()]),
        "rejections": rejections(),
        "sender contexts": sender_contexts(),
        "query keys": query_keys(),
        "retrieve contexts": contexts(retrieval_contexts()),
    }


def services() -> str:
    storage = dict.fromkeys([*map(str, STORED_SOP_CLASSES), *encodings.OURS])
    rows = [
        ("Verification", VERIFICATION, "yes", "yes"),
        *((named(uid), uid, _yes(uid in encodings.OURS), _yes(uid in STORED_SOP_CLASSES)) for uid in storage),
        (named(COMMITMENT), COMMITMENT, "yes", "no"),
        *((named(uid), uid, "yes", "no") for uid in (FIND, GET, MOVE)),
    ]
    return table(("SOP class", "UID", "user (SCU)", "provider (SCP)"), rows)


def _yes(word: bool) -> str:
    return "yes" if word else "no"


def implementation() -> str:
    assert derive_uid("implementation") == IMPLEMENTATION_CLASS_UID
    rows = [
        ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
        ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
        ("Application Context Name", f"`{access.APPLICATION_CONTEXT}`"),
        ("largest PDU that LISTENER and BACKFILL receive", f"{MAX_PDU:,} bytes"),
        ("largest PDU that SENDER receives", f"{Requestor().maximum_pdu_size:,} bytes"),
    ]
    return table(("what", "value"), rows)


def transfer_syntaxes() -> str:
    rows = ((place, syntax.name, str(syntax)) for place, syntax in enumerate(TRANSFER_SYNTAXES, 1))
    return table(("preference", "transfer syntax", "UID"), rows)


def contexts(offered: Sequence[PresentationContext]) -> str:
    """A class a line, with how many contexts it has."""
    rows: dict[tuple[str, str], list[list[str]]] = {}
    for context in offered:
        uid = str(context.abstract_syntax)
        rows.setdefault((uid, _role(context)), []).append([str(syntax) for syntax in context.transfer_syntax])
    return table(
        ("abstract syntax", "UID", "transfer syntaxes", "our role"),
        ((named(uid), uid, _syntaxes(found), role) for (uid, role), found in rows.items()),
    )


def _role(context: PresentationContext) -> str:
    """As acceptor where the context says so, else as requestor: of what a C-GET brings we are the provider."""
    if context.scp_role and not context.scu_role:
        return "SCU (the requestor proposes the SCP's role)"
    uid = str(context.abstract_syntax)
    return "SCU" if uid in {FIND, GET, MOVE} else "SCP"


def _syntaxes(contexts: list[list[str]]) -> str:
    every = [str(syntax) for syntax in TRANSFER_SYNTAXES]
    if contexts == [every]:
        return "all of the table of transfer syntaxes, in one context"
    if contexts == [[syntax] for syntax in every]:
        return "each of the table of transfer syntaxes, in a context of its own"
    assert len(contexts) == 1
    return ", ".join(named(uid) for uid in contexts[0])


def rejections() -> str:
    results = {1: "rejected-permanent", 2: "rejected-transient"}
    sources = {1: "service-user", 2: "service-provider (ACSE)", 3: "service-provider (presentation)"}
    meanings = {
        (1, 2): "application-context-name-not-supported",
        (1, 3): "calling-AE-title-not-recognized",
        (1, 7): "called-AE-title-not-recognized",
        (2, 2): "protocol-version-not-supported",
        (3, 1): "temporary-congestion",
        (3, 2): "local-limit-exceeded",
    }
    found = [r for module in (upper_layer, access) for r in vars(module).values() if isinstance(r, access.Rejection)]
    rows: dict[tuple[int, int, int], list[str]] = {}
    for rejection in dict.fromkeys(found):
        rows.setdefault((rejection.result, rejection.source, rejection.diagnostic), []).append(f"`{rejection.word}`")
    return table(
        ("result", "source", "reason/diagnostic", "word in log and counters"),
        (
            (f"{r}, {results[r]}", f"{s}, {sources[s]}", f"{d}, {meanings[s, d]}", ", ".join(said))
            for (r, s, d), said in sorted(rows.items())
        ),
    )


def sender_contexts() -> str:
    """What is offered for an object of each class that we make, in the order in which it is preferred."""
    forms = {encodings.SECONDARY_CAPTURE: {" (`uncompressed`)": ExplicitVRLittleEndian, " (`jpeg`)": JPEGBaseline8Bit}}
    rows = [
        (f"{named(sop_class)}{form}", sop_class, _chain(encodings.possible(sop_class, own)))
        for sop_class in encodings.OURS
        for form, own in forms.get(sop_class, {"": ExplicitVRLittleEndian}).items()
    ]
    rows.append((named(VERIFICATION), VERIFICATION, _chain(PLAIN[::-1])))
    rows.append((named(COMMITMENT), COMMITMENT, _chain(PLAIN)))
    return table(("abstract syntax", "UID", "transfer syntaxes, the preferred one first"), rows)


def _chain(uids: Sequence[str]) -> str:
    return "; ".join(named(uid) for uid in uids)


def query_keys() -> str:
    row = Dataset()
    row.SeriesInstanceUID, row.Modality = "1.2.3", "OP"
    recorder = Recorder(rows=[row])
    asking = Asking(recorder)
    asking.list_series("1.2", ["OP"])
    recorder.asked += _of_studies()
    rows: dict[tuple[str, str], list[str]] = {}
    for identifier in recorder.asked:
        for element in identifier:
            if element.keyword != "QueryRetrieveLevel":
                kinds = rows.setdefault((str(identifier.QueryRetrieveLevel), element.keyword), [])
                kinds.append(_matching(str(element.value or "")))
    order = ("STUDY", "SERIES", "IMAGE")
    return table(
        ("level", "key", "tag", "matching"),
        (
            (level, name_of(keyword), tag_of(keyword), " or ".join(sorted(set(kinds))))
            for (level, keyword), kinds in sorted(rows.items(), key=lambda row: order.index(row[0][0]))
        ),
    )


def _of_studies() -> list[Dataset]:
    """A month by modality, a day, an hour of it, and a month of an archive that does not match modalities."""
    asked = []
    days = (date(2026, 1, 1), date(2026, 1, 31))
    for window, modalities in (
        (Window(*days), ["OP"]),
        (Window(days[0], days[0]), ["OP"]),
        (Window(days[0], days[0], 3600, 7200), ["OP"]),
        (Window(*days), [""]),
    ):
        recorder = Recorder(0xA700)
        Asking(recorder).list_studies(window, modalities)
        asked += recorder.asked
    return asked


def _matching(value: str) -> str:
    if not value:
        return "universal"
    return "range" if "-" in value else "single value"
