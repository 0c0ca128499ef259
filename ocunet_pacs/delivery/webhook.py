"""Word of a study to a web service of the site's: the `Sender` port by the Standard Webhooks scheme, version 1.0.0."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from ocunet_pacs.delivery.notice import read_notice
from ocunet_pacs.delivery.posting import Service, judge
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.domain.ports import Receipt

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from pathlib import Path

_PREFIX = "whsec_"


class WebhookSender:
    """POSTs the JSON document of a file, signed with a secret that the receiver knows too. Threads may share it.

    `secret`: `whsec_` and base64, as the scheme's libraries take it, or any text, of which the UTF-8 bytes are the key.
    `now` gives the time that is signed with the document, aware; receivers refuse what is minutes old.
    """

    def __init__(
        self,
        name: str,
        url: str,
        secret: str,
        *,
        timeout: timedelta,
        now: Callable[[], datetime],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` None: the system's authorities (see `tls.client_context`). ConfigError."""
        self._name = name
        self._key = _key(name, secret)
        self._now = now
        self._service = Service(name, url, timeout=timeout, tls=tls)

    def send(self, path: Path) -> Receipt:
        """The receiver answered with 2xx. PeerUnavailable, PeerBusy, PeerRefused: see `posting`. StoreError.

        The document's id goes along as `webhook-id`: the same however often it is sent.
        """
        body, notice = read_notice(path)
        identity, seconds = str(notice["id"]), str(int(self._now().timestamp()))
        answer = self._service.post(
            body,
            {
                "content-type": "application/json",
                "webhook-id": identity,
                "webhook-timestamp": seconds,
                "webhook-signature": signature(self._key, identity, seconds, body),
            },
        )
        judge(self._name, answer)
        return Receipt(f"delivered (HTTP status {answer.status})")

    def probe(self) -> str:
        """The receiver is there and lets us in, in words. PeerUnavailable, PeerBusy: see `posting`."""
        # One that only takes notices may show nothing else.
        return self._service.probe(ours={404})

    def close(self) -> None:
        """Close the connections that are kept."""
        self._service.close()


def signature(key: bytes, identity: str, seconds: str, body: bytes) -> str:
    """The value of `webhook-signature`: version and base64 of the HMAC-SHA256 over `id.timestamp.body`."""
    digest = hmac.digest(key, f"{identity}.{seconds}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(name: str, secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        raise ConfigError([f"{name}: secret begins with {_PREFIX}, so the rest must be base64"]) from None
