"""An archive that answers C-FIND, C-GET and C-MOVE in memory, and does wrong what a test asks it to."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from ocunet_pacs.intake.contexts import STORED_SOP_CLASSES
from ocunet_pacs.intake.query import FIND
from ocunet_pacs.intake.retrieve import GET, MOVE
from tests.dcmtk import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXPLICIT = "1.2.840.10008.1.2.1"


@dataclass
class FaultyArchive:
    """What is in it, and its faults; `asked` are the identifiers of all C-FINDs."""

    studies: list[list[Dataset]]
    gives_get: bool = True
    lets_us_store: bool = True
    modalities: str = "match"
    """match; ignore: as if nothing was asked; refuse: 0xA900; literal: equal or nothing; hide: does not tell either."""
    at_most: int = 10**9
    says_when_cut: bool = True
    decorate: Callable[[Dataset], None] | None = None
    get_status: list[int] = field(default_factory=list)
    """Statuses to answer retrievals with, one each, before it behaves."""
    breaks_after: list[int] = field(default_factory=list)
    """Objects after which it drops the association, one retrieval each."""
    claims_all: bool = False
    stalls: float = 0.0
    delay: float = 0.0
    """Seconds before each object."""
    find_status: list[int] = field(default_factory=list)
    find_breaks: int = 0
    asked: list[Dataset] = field(default_factory=list)
    retrieved: list[str] = field(default_factory=list)
    """Study Instance UID of each retrieval."""
    destination: tuple[str, int] | None = None

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.asked.append(query)
        time.sleep(self.stalls)
        if self.find_status:
            yield self.find_status.pop(0), None
            return
        if self.find_breaks:
            self.find_breaks -= 1
            event.assoc.abort()
            return
        wanted = query.get("ModalitiesInStudy") or ""
        if wanted and self.modalities == "refuse":
            yield 0xA900, None
            return
        answers = list(self._answers(query, wanted))
        for answer in answers[: self.at_most]:
            if self.decorate:
                self.decorate(answer)
            yield 0xFF00, answer
        if len(answers) > self.at_most and self.says_when_cut:
            yield 0xFE00, None

    def _answers(self, query: Dataset, wanted: str) -> Iterator[Dataset]:
        level = query.QueryRetrieveLevel
        seen: set[str] = set()
        for study in self.studies:
            held = sorted({ds.Modality for ds in study})
            for ds in study:
                uid = {"STUDY": ds.StudyInstanceUID, "SERIES": ds.SeriesInstanceUID, "IMAGE": ds.SOPInstanceUID}[level]
                if uid in seen or not self._matches(query, wanted, ds, held):
                    continue
                seen.add(uid)
                answer = Dataset()
                answer.QueryRetrieveLevel = level
                for element in query:
                    if element.keyword in ds and element.keyword != "QueryRetrieveLevel":
                        setattr(answer, element.keyword, ds[element.keyword].value)
                if level == "STUDY" and self.modalities != "hide":
                    answer.ModalitiesInStudy = held
                yield answer

    def _matches(self, query: Dataset, wanted: str, ds: Dataset, held: list[str]) -> bool:
        if query.QueryRetrieveLevel == "STUDY":
            first, _, last = str(query.StudyDate).partition("-")
            if not first <= ds.StudyDate <= (last or first):
                return False
            if query.StudyTime:
                first, _, last = str(query.StudyTime).partition("-")
                if not first <= ds.StudyTime <= last:
                    return False
            if wanted and self.modalities == "literal" and held != [wanted]:
                return False
            return not wanted or self.modalities != "match" or wanted in held
        return query.StudyInstanceUID == ds.StudyInstanceUID and (
            query.QueryRetrieveLevel == "SERIES" or query.SeriesInstanceUID == ds.SeriesInstanceUID
        )

    def get(self, event: evt.Event) -> Iterator[Any]:
        found = self._series(event)
        yield len(found)
        yield from self._send(event, found)

    def move(self, event: evt.Event) -> Iterator[Any]:
        if self.destination is None:
            yield None, None
            return
        found = self._series(event)
        yield self.destination
        yield len(found)
        yield from self._send(event, found)

    def _series(self, event: evt.Event) -> list[Dataset]:
        self.retrieved.append(str(event.identifier.StudyInstanceUID))
        wanted = event.identifier.SeriesInstanceUID
        return [ds for study in self.studies for ds in study if wanted == ds.SeriesInstanceUID]

    def _send(self, event: evt.Event, found: list[Dataset]) -> Iterator[Any]:
        if self.get_status:
            yield self.get_status.pop(0), None
            return
        breaks_after = self.breaks_after.pop(0) if self.breaks_after else None
        for number, ds in enumerate(found):
            if number == breaks_after:
                event.assoc.abort()
                return
            time.sleep(self.delay)
            if not self.claims_all:
                yield 0xFF00, ds


@contextmanager
def served(archive: FaultyArchive, port: int = 0) -> Iterator[int]:
    """The archive on a port of this machine, until the block ends."""
    port = port or free_port()
    ae = AE(ae_title="FAULTY")
    # Its own limits are not what is tested.
    ae.maximum_associations = 50
    supported = [build_context(FIND, EXPLICIT), build_context(MOVE, EXPLICIT)]
    if archive.gives_get:
        supported.append(build_context(GET, EXPLICIT))
    ae.supported_contexts = supported
    for sop_class in STORED_SOP_CLASSES:
        if archive.lets_us_store:
            ae.add_supported_context(sop_class, EXPLICIT, scu_role=True, scp_role=True)
        else:
            ae.add_supported_context(sop_class, EXPLICIT)
        ae.add_requested_context(sop_class, EXPLICIT)
    server = ae.start_server(
        (HOST, port),
        block=False,
        evt_handlers=[
            (evt.EVT_C_FIND, archive.find),
            (evt.EVT_C_GET, archive.get),
            (evt.EVT_C_MOVE, archive.move),
        ],
    )
    assert server is not None
    try:
        yield port
    finally:
        server.shutdown()
