"""Objects to a web archive with STOW-RS (PS3.18 section 10.5): the `Sender` port, one object a request."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian

from ocunet_pacs.delivery.encodings import CannotEncode, in_encoding
from ocunet_pacs.delivery.judgement import judge
from ocunet_pacs.delivery.posting import Service
from ocunet_pacs.delivery.posting import judge as judge_http
from ocunet_pacs.delivery.stow_answer import Verdict, lists, verdict
from ocunet_pacs.domain.errors import DeliveryError, PeerBusy, StoreError
from ocunet_pacs.domain.ports import Receipt

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from datetime import timedelta
    from pathlib import Path
    from typing import BinaryIO

_JSON = "application/dicom+json"
_PIECE = 1 << 18
_OTHER_SYNTAX = 0xC122
"""PS3.18 table I.2-2: referenced transfer syntax not supported."""


class StowSender:
    """Sends to one web archive; `url` is its DICOMweb service, below which it has `/studies`. Threads may share it."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        timeout: timedelta,
        token: str | None = None,
        basic: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`basic`: user and password; `tls` None: the system's authorities (see `tls.client_context`). ConfigError."""
        self._name = name
        self._service = Service(
            name, url.removesuffix("/studies"), timeout=timeout, token=token, basic=basic, headers=headers, tls=tls
        )

    def send(self, path: Path) -> Receipt:
        """The archive has it. PeerUnavailable, PeerBusy, PeerRefused: see `posting` and `judgement`. StoreError.

        An archive that takes pictures only uncompressed, and says so, gets it uncompressed.
        """
        uid, own = _identity(path)
        with _opened(path) as file:
            said = self._store(uid, file, path.stat().st_size)
        wants_another = said.reason == _OTHER_SYNTAX or said.answer.status == 415
        if not wants_another or own == ExplicitVRLittleEndian:
            return self._judge(uid, said)
        try:
            content = in_encoding(path, ExplicitVRLittleEndian)
        except CannotEncode:
            return self._judge(uid, said)
        return self._judge(uid, self._store(uid, content, len(content)), f" as {ExplicitVRLittleEndian.name}")

    def _store(self, uid: str, content: BinaryIO | bytes, size: int) -> Verdict:
        # Not a word of the object's, and the same for each try.
        boundary = hashlib.sha256(uid.encode()).hexdigest()[:32]
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        answer = self._service.post(
            _pieces(head, content, tail),
            {
                "content-type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                "content-length": str(len(head) + size + len(tail)),
                "accept": _JSON,
            },
            "/studies",
        )
        return verdict(answer, uid)

    def _judge(self, uid: str, said: Verdict, as_what: str = "") -> Receipt:
        if said.reason is not None:
            return judge(self._name, said.reason, as_what)
        if said.stored:
            return Receipt(f"stored{as_what}" + ("; with a warning" if said.warned else ""))
        if said.answer.status == 409:
            return self._ask_for(uid)
        judge_http(self._name, said.answer)
        if said.answer.status == 202:
            raise PeerBusy(f"{self._name}: it does not say what became of the object (HTTP status 202)")
        return Receipt(f"stored{as_what}")

    def _ask_for(self, uid: str) -> Receipt:
        """After a 409 without a reason: most archives mean that they have it, and it is theirs to say (QIDO-RS)."""
        try:
            found = self._service.get(f"/instances?SOPInstanceUID={uid}", {"accept": _JSON})
        except DeliveryError:
            found = None
        if found is not None and found.status in {200, 204} and not lists(found, uid):
            raise PeerBusy(f"{self._name}: it reports a conflict and does not list the object (HTTP status 409)")
        return Receipt("it had it already")

    def probe(self) -> str:
        """The archive is there and lets us in, in words. PeerUnavailable, PeerBusy: see `posting`."""
        return self._service.probe("/studies")

    def close(self) -> None:
        """Close the connections that are kept."""
        self._service.close()


def _pieces(head: bytes, content: BinaryIO | bytes, tail: bytes) -> Iterator[bytes]:
    yield head
    if isinstance(content, bytes):
        yield content
    else:
        while piece := content.read(_PIECE):
            yield piece
    yield tail


def _identity(path: Path) -> tuple[str, UID]:
    """SOP Instance UID and transfer syntax."""
    try:
        ds = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        return str(ds.SOPInstanceUID), UID(ds.file_meta.TransferSyntaxUID)
    except (OSError, InvalidDicomError, AttributeError) as error:
        raise StoreError("an object to deliver is missing from the store or not readable") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise StoreError("an object to deliver is missing from the store or not readable") from error
