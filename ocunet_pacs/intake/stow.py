"""STOW-RS (PS3.18 section 10.5): objects posted over HTTP, received as C-STORE's are. An ASGI application.

The body goes from the socket to files in blocks, each handled in a thread of its own, so that neither a large request
nor a slow disk holds up another. What is stored when a connection breaks stays: sent again, it is there already.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import structlog
from anyio import CancelScope, CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ocunet_pacs.domain.audit import audit_nothing
from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.intake.multipart import BadMultipart, media_type
from ocunet_pacs.intake.stow_answer import answer_type
from ocunet_pacs.intake.stow_guard import Guard, refused
from ocunet_pacs.intake.stow_session import MultipartSession, Session, SinglePartSession, TooMany

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.intake.arriving import Sender
    from ocunet_pacs.intake.reception import Reception

_DICOM = "application/dicom"
_BLOCK = 1 << 20
_UID_LENGTH = 64
_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


@dataclass(frozen=True, slots=True)
class StowConfig:
    """What is taken, from whom, and how slowly.

    `token` "" asks for none (the senders' certificates are checked before a request comes here). After `grace` a
    request must have come in at `slowest` bytes a second on average, and a sender may stay silent for `silence`.
    """

    token: str
    base: str = ""
    max_request: int = 2 << 30
    max_requests: int = 16
    silence: timedelta = timedelta(seconds=30)
    grace: timedelta = timedelta(seconds=60)
    slowest: int = 8192


def stow_app(
    reception: Reception,
    config: StowConfig,
    *,
    sender_at: Callable[[str], Sender],
    count: Count,
    released: Callable[[frozenset[str]], object],
    audit: Audit = audit_nothing,
) -> Guard:
    """The application. `sender_at` says who sends from an address.

    `released` is told which studies a request brought whose source says close_on_release: the end of a request is what
    the release of an association is.
    """
    store = _Store(reception, config, sender_at, released).store
    routes = [
        Route(f"{config.base}/studies", store, methods=["POST"]),
        Route(f"{config.base}/studies/{{study}}", store, methods=["POST"]),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # a redirect would send the whole body twice
    return Guard(app, config.token, count, audit)


class _TooSlow(Exception):
    """The sender is silent, or slower than anybody has to be."""


class _TooLarge(Exception):
    """More bytes than a request may have."""


class _Store:
    """The one transaction."""

    def __init__(
        self,
        reception: Reception,
        config: StowConfig,
        sender_at: Callable[[str], Sender],
        released: Callable[[frozenset[str]], object],
    ) -> None:
        self._reception = reception
        self._config = config
        self._sender_at = sender_at
        self._released = released
        self._limiter = CapacityLimiter(config.max_requests)
        self._running = 0

    async def store(self, request: Request) -> Response:
        """Store Instances."""
        answer = answer_type(request.query_params.get("accept") or request.headers.get("accept", ""))
        if answer is None:
            return await refused(request, 406, "the answer can be had as application/dicom+json or +xml")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return await refused(request, 415, "bodies with a content encoding are not taken")
        if _declared_length(request) > self._config.max_request:
            return await refused(request, 413, "the request is larger than is taken here")
        if self._running >= self._config.max_requests:
            return await refused(request, 503, "too many requests at once", retry_after=5)
        try:
            session = self._session(request)
        except _Unsupported as error:
            return await refused(request, error.status, str(error))
        self._running += 1
        try:
            return await self._receive(request, session, answer)
        finally:
            self._running -= 1

    def _session(self, request: Request) -> Session:
        study = request.path_params.get("study", "")
        if study and (len(study) > _UID_LENGTH or not study.replace(".", "").isdigit() or not study.isascii()):
            raise _Unsupported(400, "the study in the path is not a UID")
        sender = self._sender_at(request.client.host if request.client else "")
        body = media_type(request.headers.get("content-type", ""))
        if body.name == _DICOM:
            return SinglePartSession(self._reception, sender, only_study_uid=study)
        if body.name != "multipart/related" or body.parameters.get("type", _DICOM).lower() != _DICOM:
            raise _Unsupported(415, "bodies are multipart/related; type=application/dicom, or application/dicom")
        try:
            return MultipartSession(
                self._reception, sender, only_study_uid=study, boundary=body.parameters.get("boundary", "")
            )
        except BadMultipart as error:
            raise _Unsupported(400, str(error)) from None

    async def _receive(self, request: Request, session: Session, answer: str) -> Response:
        try:
            await self._in_thread(self._reception.require_room)
            async for block in self._blocks(request):
                await self._in_thread(session.feed, block)
            await self._in_thread(session.finish)
        except ClientDisconnect:
            structlog.get_logger().warning("stow_broken_off", parts=len(session.outcome.arrived))
            return Response(status_code=400)
        except _TooSlow:
            return await refused(request, 408, "the request came too slowly", drain=False)
        except (_TooLarge, TooMany):
            return await refused(request, 413, "the request is larger than is taken here")
        except StoreError:
            return await refused(request, 503, "no space for another file; send again later", retry_after=60)
        finally:
            with CancelScope(shield=True):
                await self._in_thread(session.abandon)
        outcome = session.outcome
        opened = frozenset(part.opened_study for part in outcome.arrived if part.opened_study)
        if opened and session.sender.source.close_on_release:
            await self._in_thread(self._released, opened)
        content = await self._in_thread(outcome.encoded, answer)
        headers = {"Retry-After": "60"} if outcome.status == 503 else {}
        return Response(content, outcome.status, {**headers, "Content-Type": answer})

    async def _blocks(self, request: Request) -> AsyncIterator[bytes]:
        """The body in blocks of about a mebibyte."""
        started, total = time.monotonic(), 0
        block = bytearray()
        stream = request.stream()
        while True:
            try:
                async with asyncio.timeout(self._config.silence.total_seconds()):
                    piece = await anext(stream, None)
            except TimeoutError:
                raise _TooSlow from None
            if piece is None:
                break
            total += len(piece)
            if total > self._config.max_request:
                raise _TooLarge
            over = time.monotonic() - started - self._config.grace.total_seconds()
            if over > 0 and total < over * self._config.slowest:
                raise _TooSlow
            block += piece
            if len(block) >= _BLOCK:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)

    async def _in_thread(self, work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        return await run_sync(work, *arguments, limiter=self._limiter)


class _Unsupported(Exception):
    """The request cannot be taken, with the status that says so."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        super().__init__(why)


def _declared_length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0
