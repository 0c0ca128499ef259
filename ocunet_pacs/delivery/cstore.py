"""Objects to a PACS with C-STORE (PS3.4 annex B): the `Sender` port."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import build_context

from ocunet_pacs.delivery.association import Destination, associated
from ocunet_pacs.domain.errors import PeerBusy, PeerRefused, PeerUnavailable, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset, FileMetaDataset
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

__all__ = ["CStoreSender", "Destination"]

_SUCCESS = 0x0000
_DUPLICATE = 0x0111
_PROCESSING_FAILURE = 0x0110
# PS3.4 table B.2-1 (coercion, data set does not match, elements discarded) and PS3.7 section C.4.
_WARNINGS = frozenset({0xB000, 0xB006, 0xB007, 0x0001, 0x0107, 0x0116})
_REFUSALS = {
    0x0117: "invalid object instance",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
}
_CONVERTIBLE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class CStoreSender:
    """Sends over one association for each object. Safe for several threads."""

    def __init__(self, destinations: Sequence[Destination], calling_ae_title: str) -> None:
        self._destinations = {destination.name: destination for destination in destinations}
        self._calling_ae_title = calling_ae_title

    def send(self, destination: str, path: Path) -> tuple[int, str]:
        """DICOM status and comment of a success or warning.

        A PACS that says "duplicate SOP instance" (0x0111) has the object: our UIDs are derived from the content, and
        the answer to an earlier try may have been lost, so that is a success too.

        PeerUnavailable: nobody answered. PeerBusy: out of resources (0xA7xx) or a processing failure (0x0110), try
        again. PeerRefused: anything else, a person looks; also a destination that the settings do not name any more.
        StoreError when the file cannot be read. The PACS's Error Comment stays out of the errors' texts: it may hold
        patient data.
        """
        target = self._destinations.get(destination)
        if target is None:
            raise PeerRefused(f"{destination}: no destination of that name is configured")
        meta = _read_meta(path)
        with associated(target, self._calling_ae_title, _contexts(meta)) as association:
            answer = _store(association, path, meta, target)
        return _judge(answer, target)


def _read_meta(path: Path) -> FileMetaDataset:
    try:
        return read_file_meta_info(path)
    except (OSError, InvalidDicomError) as error:
        raise StoreError("an object to deliver is missing from the store or not readable") from error


def _contexts(meta: FileMetaDataset) -> list[PresentationContext]:
    """The object's own transfer syntax; for an uncompressed one also the other little endian encoding of it.

    One context for each: the peer chooses only one transfer syntax in each context that it accepts.
    """
    sop_class, own = UID(meta.MediaStorageSOPClassUID), UID(meta.TransferSyntaxUID)
    syntaxes = [own]
    if own in _CONVERTIBLE:
        syntaxes += [syntax for syntax in _CONVERTIBLE if syntax != own]
    return [build_context(sop_class, syntax) for syntax in syntaxes]


def _store(association: Association, path: Path, meta: FileMetaDataset, target: Destination) -> Dataset:
    """One request over an association that accepted at least one of the object's contexts."""
    accepted = {
        str(cx.transfer_syntax[0])
        for cx in association.accepted_contexts
        if cx.abstract_syntax == meta.MediaStorageSOPClassUID
    }
    try:
        if str(meta.TransferSyntaxUID) in accepted:
            return association.send_c_store(path)
        # Only the other encoding was accepted: decoded here, encoded for the context by the library.
        return association.send_c_store(dcmread(path))
    except ValueError as error:
        raise PeerRefused(f"{target.name}: it accepts the object in no encoding that we can send") from error


def _judge(answer: Dataset, target: Destination) -> tuple[int, str]:
    if "Status" not in answer:
        raise PeerUnavailable(f"{target.name}: the connection broke, or no answer came within {target.timeout}")
    status = cast("int", answer.Status)
    if status in {_SUCCESS, _DUPLICATE} or status in _WARNINGS:
        return status, str(answer.get("ErrorComment", "") or "")
    if status == _PROCESSING_FAILURE or status >> 8 == 0xA7:
        raise PeerBusy(f"{target.name}: out of resources or failing for now (status 0x{status:04X})", status)
    raise PeerRefused(f"{target.name}: refused, {_meaning(status)} (status 0x{status:04X})", status)


def _meaning(status: int) -> str:
    if status >> 8 == 0xA9:
        return "data set does not match SOP class"
    if status >> 12 == 0xC:
        return "cannot understand the object"
    return _REFUSALS.get(status, "failure")
