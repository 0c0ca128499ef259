"""Templates to pages. Everything that is put into a template is escaped; nothing in this package marks text as safe."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from markupsafe import Markup
from starlette.responses import HTMLResponse

from ocunet_pacs.console import words
from ocunet_pacs.console.guard import session_of
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.logs import study_digest

if TYPE_CHECKING:
    from datetime import datetime

    from jinja2.runtime import Context
    from starlette.requests import Request

    from ocunet_pacs.console.desk import Desk
    from ocunet_pacs.console.sessions import Sessions

PAGES = (
    ("/", "Overview"),
    ("/studies", "Studies"),
    ("/jobs", "Jobs"),
    ("/destinations", "Destinations"),
    ("/model", "Model"),
    ("/drift", "Drift"),
    ("/about", "About"),
)
_GONE = {ReasonCode.FILE_REMOVED: "file removed", ReasonCode.FILE_MISSING: "file missing"}


def style_sheet() -> str:
    """The one style sheet, which stands in every page: nothing else is fetched."""
    return files("ocunet_pacs.console").joinpath("templates", "style.css").read_text("utf-8")


def style_source(style: str) -> str:
    """What the Content Security Policy calls it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


class Rendering:
    """Makes the answers. Threads may share it."""

    def __init__(self, desk: Desk, sessions: Sessions, style: str) -> None:
        self._desk = desk
        self._sessions = sessions
        self._environment = Environment(
            loader=PackageLoader("ocunet_pacs.console", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"desk": desk, "style": Markup(style), "pages": PAGES}  # noqa: S704 - our own file
        self._environment.filters |= {
            "moment": _moment,
            "span": words.span,
            "counted": words.counted,
            "capitalize_first": lambda text: text[:1].upper() + text[1:],
            "digest": study_digest,
            "study_mark": words.STUDY.__getitem__,
            "urgency_mark": words.URGENCY.__getitem__,
            "job_mark": words.JOB.__getitem__,
            "job_words": words.about,
            "kind_words": words.kind,
            "output_words": words.OUTPUT.__getitem__,
            "gone": _GONE.__getitem__,
        }

    def page(self, request: Request, template: str, place: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """A page for the session of the request; `place` is the entry of `PAGES` that it belongs to."""
        now, session = self._desk.now(), session_of(request)
        found = self._environment.get_template(template)
        text = found.render(
            values,
            place=place,
            now=now,
            zone=now.astimezone().tzname(),
            session=session,
            seal_of_session=self._sessions.seal(session),
        )
        return HTMLResponse(text, status)

    def message(self, request: Request, status: int, title: str, sentence: str) -> HTMLResponse:
        """A page that says one thing."""
        return self.page(request, "message.html", "", status=status, title=title, words=sentence)

    def sign_in(self, why: str, *, has_token: bool) -> HTMLResponse:
        """The page that asks for the token, or says why none would help."""
        return HTMLResponse(self._environment.get_template("sign_in.html").render(why=why, has_token=has_token))


@pass_context
def _moment(page: Context, at: datetime) -> str:
    """As `words.moment`, by the one time that the page is of: asking for it may be a question to the database."""
    return words.moment(at, page["now"])
