"""A peer that is not there: what is asked of it is written down, and it answers with whatever status is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.presentation import build_context

from ocunet_pacs.intake.query import FIND, Query
from ocunet_pacs.intake.requestor import ArchivePeer

_NO_KEYS = Dataset()
PEER = ArchivePeer("x", "X", "host", 104)


class Answer:
    """A response with nothing but a status: a data set of pydicom's takes sixty times as long to make."""

    def __init__(self, status: int) -> None:
        self.Status = status

    def __contains__(self, keyword: str) -> bool:
        return keyword == "Status"

    def get(self, _keyword: str) -> None:
        return None


class Recorder:
    """An association for queries: each is answered with the rows, and then with the status."""

    def __init__(self, status: int = 0x0000, rows: Sequence[Dataset] = ()) -> None:
        self.asked: list[Dataset] = []
        self._status = status
        self._rows = rows
        self.accepted_contexts = [build_context(FIND, ImplicitVRLittleEndian)]

    def send_c_find(self, identifier: Dataset, _model: str) -> Iterator[tuple[Any, Dataset | None]]:
        self.asked.append(identifier)
        for row in self._rows:
            yield Answer(0xFF00), row
        yield Answer(self._status), None


class Asking(Query):
    """The product's own queries, over a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(PEER, "US")
        self._recorder = recorder

    def _associated(self) -> Any:
        return nullcontext(self._recorder)

    def answer(self, status: int) -> Any:
        """What a query that ends with this status is taken for."""
        return self._ask(Recorder(status), _NO_KEYS)  # type: ignore[arg-type]
