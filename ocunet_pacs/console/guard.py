"""Who may see the console: whoever is at this machine where no token is set, otherwise whoever gives the token.

Nobody else gets another answer than 401, whatever is asked for and however. A browser gives the token once, at the page
that comes with the 401; a program may show it as Bearer token, and reads only: what changes something takes a session.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse

from ocunet_pacs.console.attempts import Attempts
from ocunet_pacs.console.requests import (
    Refused,
    is_foreign,
    is_from_here,
    is_known_name,
    is_our_own,
    is_plain_path,
    read_form,
)
from ocunet_pacs.domain.audit import AuditOutcome, Login, Party

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ocunet_pacs.console.sessions import Session, Sessions
    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.ports import Count

COOKIE = "ocunet_console"
SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
_SESSION = "ocunet_pacs.session"
_METHODS = frozenset({"GET", "HEAD", "POST"})
_PICTURES = "/pictures/"


@dataclass(frozen=True, slots=True)
class GuardConfig:
    """`token` "": none is set. `names`: host names by which we are called. `style`: CSP source of the style sheet."""

    token: str
    names: frozenset[str]
    secure: bool
    style: str
    max_requests: int


class Guard:
    """An ASGI application in front of the pages. `ask_for_token` makes the page of a 401 from what went wrong."""

    def __init__(
        self,
        app: ASGIApp,
        config: GuardConfig,
        sessions: Sessions,
        *,
        clock: Callable[[], float],
        ask_for_token: Callable[[str], Response],
        count: Count,
        audit: Audit,
    ) -> None:
        self._app = app
        self._config = config
        self._sessions = sessions
        self._attempts = Attempts(clock)
        self._ask_for_token = ask_for_token
        self._count = count
        self._audit = audit
        # Pictures wait for their decoder, so they have places of their own.
        self._places = asyncio.Semaphore(config.max_requests)
        self._picture_places = asyncio.Semaphore(max(1, config.max_requests // 2))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the pages answer."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        session = self._sessions.read(request.cookies.get(COOKIE, ""))
        fresh: list[Session] = []

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._protect(MutableHeaders(scope=message), fresh)
            await send(message)

        try:
            answer = await self._refusal(request, session, fresh)
        except Refused as refused:
            answer = PlainTextResponse(f"{refused.why}\n", refused.status)
        if answer is not None:
            await answer(scope, receive, send_guarded)
            return
        if session is None:
            session = self._sessions.start(signed_in=False)
            fresh.append(session)
        scope[_SESSION] = session
        async with self._picture_places if scope["path"].startswith(_PICTURES) else self._places:
            await self._app(scope, receive, send_guarded)

    async def _refusal(self, request: Request, session: Session | None, fresh: list[Session]) -> Response | None:
        """What is answered instead of a page; None: a page may answer."""
        if not self._may_see(request, session):
            return await self._unauthorised(request, fresh)
        if request.method not in _METHODS:
            return PlainTextResponse("not allowed\n", 405, {"Allow": "GET, HEAD, POST"})
        if not is_plain_path(request.scope.get("raw_path") or b""):
            raise Refused(404, "there is no such page")
        if is_foreign(request.headers):
            raise Refused(403, "another site's page asked for this")
        if request.method == "POST" and not is_our_own(request.headers, request.url.scheme):
            raise Refused(403, "this form was not sent by a page of the console")
        return None

    def _may_see(self, request: Request, session: Session | None) -> bool:
        if not is_known_name(request.headers.get("host", ""), self._config.names):
            return False
        if not self._config.token:
            return is_from_here(peer_of(request), request.headers)
        if session is not None and session.signed_in:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(request, given)

    def _is_token(self, request: Request, given: str) -> bool:
        """Whether it is the token, compared in a time that tells nothing about it; a wrong one is told."""
        peer = peer_of(request)
        if self._attempts.are_too_many(peer):
            return False
        if hmac.compare_digest(_digest(self._config.token), _digest(given)):
            return True
        self._attempts.note(peer)
        structlog.get_logger().warning("console_wrong_token", peer=peer)
        self._count("security_events", kind="console_wrong_token")
        self._audit(Login(person(peer), AuditOutcome.MINOR_FAILURE))
        return False

    async def _unauthorised(self, request: Request, fresh: list[Session]) -> Response:
        peer, why = peer_of(request), ""
        if not self._config.token:
            why = "This console is for its own machine: no token is set (console.token)."
        elif not is_known_name(request.headers.get("host", ""), self._config.names):
            why = "The console is not known by this name: add it to console.names, or open it by its address."
        elif (
            request.method == "POST" and request.url.path == SIGN_IN and is_our_own(request.headers, request.url.scheme)
        ):
            try:
                given = (await read_form(request)).get("token", "")
            except Refused as refused:
                given = ""
                why = f"{refused.why}."
            if given and self._is_token(request, given):
                return self._signed_in(peer, fresh)
            if given:
                why = "That is not the token."
                if self._attempts.are_too_many(peer):
                    why = "Too many wrong tokens: wait a minute."
        self._count("security_events", kind="console_unauthorised")
        structlog.get_logger().info("console_unauthorised", peer=peer)
        answer = self._ask_for_token(why)
        answer.status_code = 401
        answer.headers["WWW-Authenticate"] = 'Bearer realm="console"'
        answer.headers["Connection"] = "close"
        return answer

    def _signed_in(self, peer: str, fresh: list[Session]) -> Response:
        fresh.append(self._sessions.start(signed_in=True))
        structlog.get_logger().info("console_signed_in", peer=peer)
        self._audit(Login(person(peer)))
        return RedirectResponse("/", 303)

    def _protect(self, headers: MutableHeaders, fresh: list[Session]) -> None:
        """What every answer says to the browser."""
        headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src {self._config.style}; img-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        # With no-referrer browsers would say "Origin: null" of our own forms. No other site gets a word either way.
        headers["Referrer-Policy"] = "same-origin"
        headers["Cache-Control"] = "no-store"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        for session in fresh:
            secure = "; Secure" if self._config.secure else ""
            cookie = f"{COOKIE}={self._sessions.cookie(session)}; Path=/; HttpOnly; SameSite=Strict{secure}"
            headers.append("Set-Cookie", cookie)


def session_of(request: Request) -> Session:
    """The session of a request that the guard let through."""
    session: Session = request.scope[_SESSION]
    return session


def person(peer: str) -> Party:
    """Whoever sits at a browser: all that is known is where."""
    return Party("console", address=peer)


def peer_of(request: Request) -> str:
    """Address of the other end."""
    return request.client.host if request.client else ""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.strip().encode("utf-8", "surrogateescape")).digest()
