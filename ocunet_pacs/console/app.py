"""The console as one ASGI application: a guard in front, pages behind it, and an answer for whatever goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ocunet_pacs.console.acting import Acting
from ocunet_pacs.console.guard import SIGN_OUT, Guard, GuardConfig, peer_of, person, session_of
from ocunet_pacs.console.pages import Pages
from ocunet_pacs.console.pictures import Pictures
from ocunet_pacs.console.rendering import Rendering, style_sheet, style_source
from ocunet_pacs.console.requests import Refused, read_form
from ocunet_pacs.domain.audit import Login
from ocunet_pacs.domain.errors import OcunetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from ocunet_pacs.console.desk import Desk
    from ocunet_pacs.console.sessions import Sessions
    from ocunet_pacs.domain.ports import Count

_TITLES = {403: "Not allowed", 404: "Not found", 405: "Not allowed", 408: "Too slow", 409: "Too late"}
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="#12344a"/>'
    '<circle cx="16" cy="16" r="10" fill="#c8552d"/><circle cx="20" cy="15" r="3" fill="#f6d58a"/></svg>'
)


def console_app(
    desk: Desk,
    sessions: Sessions,
    *,
    token: str,
    names: frozenset[str],
    secure: bool,
    max_requests: int,
    clock: Callable[[], float],
    count: Count,
) -> Guard:
    """The application. `names`: host names by which we are called; `secure`: it is served by HTTPS."""
    style = style_sheet()
    rendering = Rendering(desk, sessions, style)
    pages, pictures, acting = Pages(desk, rendering), Pictures(desk), Acting(desk, rendering, sessions)

    async def sign_out(request: Request) -> Response:
        session = session_of(request)
        if not sessions.is_sealed(session, (await read_form(request)).get("seal", "")):
            raise Refused(403, "this form is not of this session: load the page anew")
        if session.signed_in:
            sessions.end(session)
            desk.audit(Login(person(peer_of(request)), out=True))
        return RedirectResponse("/", 303)

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return rendering.message(request, error.status, _TITLES.get(error.status, "Not possible"), f"{error.why}.")

    def no_such_page(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return rendering.message(request, 404, "Not found", "There is no such page.")
        return rendering.message(request, error.status_code, "Not allowed", "That cannot be done with this page.")

    def not_well(request: Request, error: Exception) -> Response:
        return rendering.message(request, 503, "Not possible now", f"{error}")

    routes = [
        Route("/", pages.overview),
        Route("/studies", pages.studies),
        Route("/studies/{id}", pages.study),
        Route("/destinations", pages.destinations),
        Route("/model", pages.model),
        Route("/drift", pages.drift),
        Route("/about", pages.about),
        Route("/jobs", acting.jobs),
        Route("/jobs/{id}", acting.job),
        Route("/jobs/{id}/{verb}", acting.one, methods=["GET", "POST"]),
        Route("/jobs/alike/{key}/{verb}", acting.all, methods=["GET", "POST"]),
        Route("/pictures/received/{id}/{size}", pictures.received),
        Route("/pictures/made/{id}/{size}", pictures.made),
        Route("/icon.svg", lambda _request: Response(ICON, media_type="image/svg+xml")),
        Route(SIGN_OUT, sign_out, methods=["POST"]),
    ]
    app = Starlette(
        routes=routes, exception_handlers={Refused: refused, HTTPException: no_such_page, OcunetError: not_well}
    )
    app.router.redirect_slashes = False
    config = GuardConfig(token, names, secure, style_source(style), max_requests)
    return Guard(
        app,
        config,
        sessions,
        clock=clock,
        ask_for_token=lambda why: rendering.sign_in(why, has_token=bool(token)),
        count=count,
        audit=desk.audit,
    )
