"""Who may speak to the STOW-RS service: nobody gets another answer than 401 without the token."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from ocunet_pacs.domain.audit import Alert, Party, SecurityAlert, audit_nothing

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.ports import Count

_DRAINED_BYTES = 16 << 20
_DRAINED_S = 5.0


class Guard:
    """An ASGI application in front of another. `token` "" lets everybody through."""

    def __init__(self, app: ASGIApp, token: str, count: Count, audit: Audit = audit_nothing) -> None:
        self._app = app
        self._token = token
        self._count = count
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or answer 401."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if self._token and not self._shows_token(request):
            self._count("security_events", kind="stow_unauthorised")
            peer = request.client.host if request.client else ""
            structlog.get_logger().warning("stow_unauthorised", peer=peer)
            self._audit(
                SecurityAlert(Alert.NODE_AUTHENTICATION, "STOW-RS request without the valid token", Party(address=peer))
            )
            answer = await refused(request, 401, "a valid token is needed")
            answer.headers["WWW-Authenticate"] = 'Bearer realm="stow"'
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _shows_token(self, request: Request) -> bool:
        """Whether the Authorization header holds the token; compared in a time that tells nothing about it."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return hmac.compare_digest(_digest(self._token), _digest(given)) and scheme.lower() == "bearer"


async def refused(
    request: Request, status: int, why: str, *, retry_after: int | None = None, drain: bool = True
) -> Response:
    """The answer to a request whose body is not wanted, after which the connection ends.

    Some of the body is read and dropped first: a sender that is still sending when its connection is closed may never
    see the answer.
    """
    if drain and "expect" not in request.headers:
        with suppress(TimeoutError, ClientDisconnect, RuntimeError):
            async with asyncio.timeout(_DRAINED_S):
                dropped = 0
                async for piece in request.stream():
                    dropped += len(piece)
                    if dropped > _DRAINED_BYTES:
                        break
    headers = {"Connection": "close"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return PlainTextResponse(f"{why}\n", status, headers)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.strip().encode("utf-8", "replace")).digest()
