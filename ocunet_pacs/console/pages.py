"""The pages that only show: how it goes, the studies, where results go, the model, and this program."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from ocunet_pacs.console.drift import HEIGHT, WIDTH, watched
from ocunet_pacs.console.requests import Refused
from ocunet_pacs.console.story import eyes, steps
from ocunet_pacs.console.wellbeing import Seen, alarms, verdict
from ocunet_pacs.console.words import Mark, answer
from ocunet_pacs.domain.console import Among
from ocunet_pacs.domain.errors import BadInput, OcunetError
from ocunet_pacs.domain.labels import Urgency

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from enum import StrEnum

    from starlette.requests import Request
    from starlette.responses import Response

    from ocunet_pacs.console.desk import Desk, Target
    from ocunet_pacs.console.rendering import Rendering
    from ocunet_pacs.domain.backlog import Backlog
    from ocunet_pacs.domain.console import Answered, Place, StudyStory
    from ocunet_pacs.domain.ledger import DestinationState

    Word = TypeVar("Word", bound=StrEnum)

PAGE = 25
_NEWEST = 6
_LARGEST_ID = 10**18
_CHOICES = (
    (Among.ALL, "All"),
    (Among.RECEIVING, "Receiving"),
    (Among.WAITING, "Waiting"),
    (Among.ANALYSING, "Being analysed"),
    (Among.ATTENTION, "Need attention"),
)
_PLACES: Mapping[Among, int] = MappingProxyType(
    {Among.ALL: 1, Among.RECEIVING: 2, Among.WAITING: 3, Among.ANALYSING: 1, Among.ATTENTION: 1}
)
"""How many numbers a place in each list has."""
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_PHOTOGRAPHS = 24
_NIGHTS = 30
_PERSON = (
    ("name", "Name"),
    ("number", "Patient ID"),
    ("birth_date", "Born"),
    ("sex", "Sex"),
    ("description", "Study"),
    ("station", "Station"),
    ("device", "Camera"),
)


@dataclass(frozen=True, slots=True)
class Destination:
    """How a destination stands; `kind` and `address` are "" where the settings do not name it any more."""

    name: str
    mark: Mark
    waiting: int
    uncommitted: int
    answered_at: datetime | None
    kind: str = ""
    address: str = ""
    gets: str = ""
    state: DestinationState | None = None
    last: Answered | None = None


class Pages:
    """One method for each page."""

    def __init__(self, desk: Desk, rendering: Rendering) -> None:
        self._desk = desk
        self._rendering = rendering

    def overview(self, request: Request) -> Response:
        """Is it well, what waits, and what came last."""
        desk, now = self._desk, self._desk.now()
        backlog, states, parts = desk.backlog.backlog(now), desk.destination_states(), desk.look()
        seen = Seen(
            parts, backlog, states, desk.upkeep_counts(), desk.task_runs(), desk.bundle(), desk.drift_alerts(), now
        )
        found = alarms(seen)
        mark, follows = verdict(found)
        today = desk.reader.finished_since(now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0))
        return self._rendering.page(
            request,
            "overview.html",
            "/",
            alarms=found,
            mark=mark,
            follows=follows,
            parts_seen=parts,
            backlog=backlog,
            today_total=sum(today.values()),
            today=[(urgency, today[urgency]) for urgency in (*reversed(Urgency), None) if urgency in today],
            destinations=destinations(desk.targets(), states, backlog, {}),
            newest=desk.reader.studies(limit=_NEWEST).lines,
        )

    def studies(self, request: Request) -> Response:
        """A list of studies, page by page: all of them, or those in a state."""
        among = word(request, "state", Among, Among.ALL)
        after = place(request, "after", _PLACES[among])
        listing = self._desk.reader.studies(among, after=after, limit=PAGE)
        return self._rendering.page(
            request,
            "studies.html",
            "/studies",
            among=among,
            choices=_CHOICES,
            after=after,
            lines=listing.lines,
            end=".".join(map(str, listing.end)),
            newest_first=among not in {Among.WAITING, Among.ANALYSING},
        )

    def study(self, request: Request) -> Response:
        """One study: its stages, what was said of it, and its pictures."""
        story = self._desk.reader.study(row_id(request.path_params["id"]))
        if story is None:
            raise Refused(404, "there is no such study")
        newest, *earlier = story.revisions or (None,)
        said = next((one for one in story.revisions if one.result), None)
        return self._rendering.page(
            request,
            "study.html",
            "/studies",
            line=story.line,
            person=self._person(story),
            revision=newest,
            steps=steps(story, newest),
            eyes=eyes(story, said) if said else [],
            untrained=said is not None and not json.loads(said.result or "{}").get("bundle", {}).get("trained", True),
            photographs=list(story.instances.values())[:_PHOTOGRAPHS],
            earlier=[(one, steps(story, one)) for one in earlier if one is not None],
            answer=answer,
        )

    def destinations(self, request: Request) -> Response:
        """Where results go, and whether anybody answers there."""
        desk = self._desk
        rows = destinations(
            desk.targets(), desk.destination_states(), desk.backlog.backlog(desk.now()), desk.reader.last_answers()
        )
        return self._rendering.page(request, "destinations.html", "/destinations", rows=rows, answer=answer)

    def model(self, request: Request) -> Response:
        """The bundle with its thresholds, and the candidate beside it."""
        shadow = self._desk.shadow()
        return self._rendering.page(request, "model.html", "/model", bundle=self._desk.bundle(), shadow=shadow)

    def drift(self, request: Request) -> Response:
        """What the nightly comparisons found."""
        nights = self._desk.nights(_NIGHTS)
        cameras = watched(nights or ())
        return self._rendering.page(
            request, "drift.html", "/drift", nights=nights, cameras=cameras, width=WIDTH, height=HEIGHT
        )

    def about(self, request: Request) -> Response:
        """This program, and what it did in the background."""
        return self._rendering.page(request, "about.html", "/about", tasks=self._desk.task_runs())

    def _person(self, story: StudyStory) -> list[tuple[str, str]]:
        """Whom the first photograph that is here shows, where the site wants that shown."""
        if self._desk.person is None:
            return []
        for shown in story.instances.values():
            picture = self._desk.reader.received_picture(shown.id)
            if picture is None or picture.gone is not None:
                continue
            try:
                found = self._desk.person(self._desk.path(picture.file_key))
            except (BadInput, OSError, OcunetError):
                continue
            return [(name, getattr(found, field)) for field, name in _PERSON]
        return []


def destinations(
    targets: Sequence[Target], states: Sequence[DestinationState], backlog: Backlog, answers: dict[str, Answered]
) -> list[Destination]:
    """Those of the settings in their order, then others that something is still on its way to."""
    known = {target.name: target for target in targets}
    found, waits = {state.name: state for state in states}, {one.destination: one for one in backlog.destinations}
    down = [name for name, state in found.items() if state.down_since is not None]
    rows = []
    for name in dict.fromkeys([*known, *waits, *down]):
        state, waiting, target = found.get(name), waits.get(name), known.get(name)
        rows.append(
            Destination(
                name,
                _standing(state),
                waiting.deliveries if waiting else 0,
                waiting.uncommitted if waiting else 0,
                state.answered_at if state else None,
                *((target.kind, target.address, target.gets) if target else ("", "", "")),
                state=state,
                last=answers.get(name),
            )
        )
    return rows


def _standing(state: DestinationState | None) -> Mark:
    if state is None:
        return Mark("wait", "not tried yet")
    if state.down_since is not None:
        return Mark("bad", "does not answer")
    return Mark("good", "answers")


def word(request: Request, name: str, words: type[Word], otherwise: Word) -> Word:
    """A word of the query. Refused, for one that there is not."""
    given = request.query_params.get(name)
    if given is None:
        return otherwise
    try:
        return words(given)
    except ValueError:
        raise Refused(404, "there is no such page") from None


def number(request: Request, name: str) -> int | None:
    """An id of the query. Refused, for what is none."""
    given = request.query_params.get(name)
    return None if given is None else row_id(given)


def place(request: Request, name: str, numbers: int) -> Place:
    """A place in a list, of so many numbers; the beginning, where the query has none. Refused, for what is none."""
    given = request.query_params.get(name)
    if given is None:
        return ()
    parts = given.split(".")
    if len(parts) != numbers or not all(map(_NUMBER.fullmatch, parts)):
        raise Refused(404, "there is no such page")
    return tuple(map(int, parts))


def row_id(given: str) -> int:
    """The id of a row, as a path or query has it. Refused, for what is none."""
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(_LARGEST_ID)) - 1):
        raise Refused(404, "there is no such page")
    return int(given)
