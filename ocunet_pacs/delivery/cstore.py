"""Objects to a PACS with C-STORE (PS3.4 annex B): the `Sender` port."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from ocunet_pacs.delivery.association import Congested, Destination
from ocunet_pacs.delivery.echo import echo
from ocunet_pacs.delivery.encodings import CannotEncode, choose, in_encoding
from ocunet_pacs.delivery.judgement import judge
from ocunet_pacs.delivery.kept import AnswerLost, KeptAssociations
from ocunet_pacs.domain.errors import DeliveryError, PeerBusy, PeerRefused, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import FileMetaDataset

    from ocunet_pacs.delivery.kept import KeptAssociation
    from ocunet_pacs.domain.ports import Receipt

__all__ = ["CStoreSender", "Destination"]

_IDLE = timedelta(seconds=2)


class CStoreSender:
    """Sends to one PACS, in an encoding that it takes.

    Threads may share it. An association is kept open for `idle` after an object, so that the next one finds it; zero
    gives each object one of its own. `close` releases them at once.
    """

    def __init__(self, destination: Destination, calling_ae_title: str, *, idle: timedelta = _IDLE) -> None:
        self._name = destination.name
        self._destination = destination
        self._calling_ae_title = calling_ae_title
        self._associations = KeptAssociations(destination, calling_ae_title, idle)

    def send(self, path: Path) -> Receipt:
        """The PACS has it, converted without loss where it takes the object in no other encoding.

        PeerUnavailable: nobody answered, and nobody answers a C-ECHO either; whether the PACS has the object is not
        known then, and sending it again does no harm. PeerBusy, PeerRefused: see `judgement.judge`; busy is also a PACS
        that is there and does not answer to this one object, which must not keep the others waiting; refused is also
        what the PACS accepts in no encoding that we can make. StoreError when the file cannot be read.
        """
        meta = _read_meta(path)
        sop_class, own = str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
        kept = self._associations.borrow(sop_class, own)
        was_used = kept.sent > 0
        try:
            return self._send_over(kept, path, sop_class, own)
        except AnswerLost as lost:
            if not (lost.broke and was_used):
                raise self._because_of(lost) from lost
        # It may have ended at the very moment when we thought it open: once more, over a fresh one.
        try:
            return self._send_over(self._associations.borrow(sop_class, own, fresh=True), path, sop_class, own)
        except AnswerLost as lost:
            raise self._because_of(lost) from lost

    def _because_of(self, lost: AnswerLost) -> DeliveryError:
        """Whether it is the PACS or the object."""
        try:
            echo(self._destination, self._calling_ae_title)
        except (PeerRefused, Congested):
            pass  # it answered
        except DeliveryError:
            return lost
        return PeerBusy(f"{lost}; yet it answers a C-ECHO")

    def _send_over(self, kept: KeptAssociation, path: Path, sop_class: str, own: str) -> Receipt:
        try:
            syntax = choose(sop_class, own, kept.accepted)
            if syntax is None:
                raise PeerRefused(
                    f"{self._name}: it accepts {UID(sop_class).name} in no encoding that we can send; configure it to "
                    "store them"
                )
            if syntax == own:
                return judge(self._name, kept.store(path))
            # The library encodes a data set as it finds it encoded, so it gets one that was read in the new encoding.
            content = in_encoding(path, syntax)
            status = kept.store(dcmread(BytesIO(content)))
            return judge(self._name, status, f" as {UID(syntax).name}")
        except CannotEncode as error:
            raise PeerRefused(f"{self._name}: it takes the object only in an encoding that it {error}") from error
        except OSError as error:
            raise _unreadable() from error
        finally:
            self._associations.give_back(kept)

    def probe(self) -> str:
        """The PACS answers C-ECHO. PeerUnavailable, PeerRefused: see `echo`."""
        echo(self._destination, self._calling_ae_title)
        return "answered C-ECHO"

    def close(self) -> None:
        """Release the associations that are kept open."""
        self._associations.close()


def _read_meta(path: Path) -> FileMetaDataset:
    try:
        return read_file_meta_info(path)
    except (OSError, InvalidDicomError) as error:
        raise _unreadable() from error


def _unreadable() -> StoreError:
    return StoreError("an object to deliver is missing from the store or not readable")
