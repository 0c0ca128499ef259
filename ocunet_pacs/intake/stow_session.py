"""One STOW-RS request's body on its way to files. Plain blocking code: it runs in a thread, a block at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.intake.admission import NOT_PART_10
from ocunet_pacs.intake.arriving import ArrivingFile
from ocunet_pacs.intake.multipart import BadMultipart, MultipartReader, PartBegins, PartData, media_type
from ocunet_pacs.intake.stow_answer import Outcome

if TYPE_CHECKING:
    from ocunet_pacs.intake.arriving import Sender
    from ocunet_pacs.intake.multipart import Event
    from ocunet_pacs.intake.reception import Reception

MAX_PARTS = 20_000
_DICOM = "application/dicom"
_PLAIN_ENCODINGS = frozenset({"", "binary", "8bit", "7bit"})


class TooMany(Exception):
    """More parts than a request may have."""


class Session:
    """Takes the body of one request. `abandon` is called at the end whatever happened, and may be called twice."""

    def __init__(self, reception: Reception, sender: Sender, *, only_study_uid: str) -> None:
        self._reception = reception
        self.sender = sender
        self._only_study_uid = only_study_uid
        self._file: ArrivingFile | None = None
        self.outcome = Outcome()

    def feed(self, data: bytes) -> None:
        """The next bytes of the body. TooMany."""
        raise NotImplementedError

    def finish(self) -> None:
        """The body is at its end."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Forget the part that did not come to its end."""
        if self._file is not None:
            file, self._file = self._file, None
            file.abandon()

    def _begin(self) -> ArrivingFile:
        return ArrivingFile(self._reception, self.sender, only_study_uid=self._only_study_uid)

    def _end(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            self.outcome.add(file.finish())


class SinglePartSession(Session):
    """The body is one DICOM file (PS3.18 section 8.6.1.1)."""

    def feed(self, data: bytes) -> None:
        """The next bytes of the file."""
        self._file = self._file or self._begin()
        self._file.write(data)

    def finish(self) -> None:
        """Take the file."""
        self._end()


class MultipartSession(Session):
    """The body is multipart, a DICOM file a part."""

    def __init__(self, reception: Reception, sender: Sender, *, only_study_uid: str, boundary: str) -> None:
        super().__init__(reception, sender, only_study_uid=only_study_uid)
        self._reader = MultipartReader(boundary)

    def feed(self, data: bytes) -> None:
        """The next bytes; behind what is not multipart nothing is looked at any more."""
        if self.outcome.malformed:
            return
        try:
            for event in self._reader.feed(data):
                self._take(event)
        except BadMultipart as error:
            self.outcome.malformed = str(error)

    def finish(self) -> None:
        """See that the body was whole."""
        if not self.outcome.malformed:
            try:
                self._reader.finish()
            except BadMultipart as error:
                self.outcome.malformed = str(error)

    def _take(self, event: Event) -> None:
        if isinstance(event, PartBegins):
            if len(self.outcome.arrived) >= MAX_PARTS:
                raise TooMany
            self._file = self._begin()
            kind = media_type(event.headers.get("content-type", _DICOM)).name
            encoding = event.headers.get("content-transfer-encoding", "").lower()
            if kind != _DICOM or encoding not in _PLAIN_ENCODINGS or "content-encoding" in event.headers:
                self._file.refuse(NOT_PART_10)
        elif isinstance(event, PartData):
            assert self._file is not None
            self._file.write(event.data)
        else:
            self._end()
