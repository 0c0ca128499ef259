"""The queue's pages, and the only two things that a person can do here: take dead jobs up again, or put them away.

Each is asked for on a page that says what follows, and done by a form of the session. What was done is told to the log
and the audit trail.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from ocunet_pacs.console import words
from ocunet_pacs.console.guard import peer_of, person, session_of
from ocunet_pacs.console.pages import PAGE, number, row_id, word
from ocunet_pacs.console.requests import Refused, read_form
from ocunet_pacs.domain.audit import Alert, AuditOutcome, SecurityAlert
from ocunet_pacs.domain.console import MOST_DEAD
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.logs import Study, study_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ocunet_pacs.console.desk import Desk
    from ocunet_pacs.console.rendering import Rendering
    from ocunet_pacs.console.sessions import Sessions
    from ocunet_pacs.domain.console import Subject
    from ocunet_pacs.domain.job import Job

_AT_ONCE = 500
"""Jobs that one form changes: each is a commit of its own, and nobody waits for minutes."""


class Shown(StrEnum):
    """Jobs of which state a list is of."""

    DEAD = "dead"
    WAITING = "waiting"
    RUNNING = "running"


class Verb(StrEnum):
    """What can be done with a dead job."""

    RETRY = "retry"
    DISCARD = "discard"

    @property
    def done(self) -> str:
        """The same, as something that was done."""
        return {"retry": "retried", "discard": "discarded"}[self.value]


@dataclass(frozen=True, slots=True)
class Alike:
    """Dead jobs of one kind that died for the same reason; `key` stands for both in an address."""

    key: str
    kind: JobKind
    reason: str
    jobs: tuple[Job, ...]

    @property
    def newest(self) -> int:
        """The highest id: a form that was made before a further one died does not touch that one."""
        return max(job.id for job in self.jobs)


def alike(jobs: Sequence[Job]) -> list[Alike]:
    """Grouped by kind and reason, the largest group first."""
    groups: dict[tuple[JobKind, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.kind, job.reason or ""), []).append(job)
    found = [Alike(_key(of, reason), of, reason, tuple(some)) for (of, reason), some in groups.items()]
    return sorted(found, key=lambda group: (-len(group.jobs), -group.newest))


def _key(of: JobKind, reason: str) -> str:
    return hashlib.sha256(f"{of}\n{reason}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Acting:
    """One method for each page; the forms end here, too."""

    def __init__(self, desk: Desk, rendering: Rendering, sessions: Sessions) -> None:
        self._desk = desk
        self._rendering = rendering
        self._sessions = sessions

    def jobs(self, request: Request) -> Response:
        """Jobs in a state; the dead by their reasons, too."""
        shown, before = word(request, "state", Shown, Shown.DEAD), number(request, "before")
        state = JobState(shown.value)
        found = self._desk.reader.jobs(state, before=before, limit=PAGE + 1)
        groups = alike(self._dead()) if shown is Shown.DEAD and before is None else []
        return self._rendering.page(
            request,
            "jobs.html",
            "/jobs",
            shown=shown,
            choices=((Shown.DEAD, "Dead"), (Shown.WAITING, "Waiting"), (Shown.RUNNING, "Running")),
            found=found[:PAGE],
            groups=groups,
            before=before,
            older=found[PAGE - 1].job.id if shown is Shown.DEAD and len(found) > PAGE else None,
            cut=shown is not Shown.DEAD and len(found) > PAGE,
            notice=_notice(request),
        )

    def job(self, request: Request) -> Response:
        """One job, what it means that it is as it is, and what can be done."""
        found = self._subject(request)
        return self._rendering.page(
            request,
            "job.html",
            "/jobs",
            job=found.job,
            about=found.about,
            what=words.about(found),
            notice=_notice(request),
        )

    async def one(self, request: Request) -> Response:
        """Ask before a job is retried or discarded, and do it."""
        verb = _verb(request)
        found = await run_in_threadpool(self._subject, request)
        if request.method != "POST":
            return self._ask(request, verb, [found])
        await self._sealed(request)
        if not await run_in_threadpool(self._change, verb, found, peer_of(request)):
            raise Refused(409, f"job {found.job.id} is not dead any more: somebody was quicker")
        return RedirectResponse(f"/jobs/{found.job.id}?done={verb}&number=1", 303)

    async def all(self, request: Request) -> Response:
        """The same for all that died for one reason, as far as whoever asks has seen them."""
        verb, key = _verb(request), request.path_params["key"]
        group = await run_in_threadpool(self._group, key)
        if request.method != "POST":
            subjects = await run_in_threadpool(self._desk.reader.about, group.jobs[:_AT_ONCE])
            return self._ask(request, verb, subjects, group)
        form = await self._sealed(request)
        seen = row_id(form.get("newest", ""))
        some = [job for job in group.jobs if job.id <= seen][:_AT_ONCE]
        done = await run_in_threadpool(self._change_all, verb, some, peer_of(request))
        return RedirectResponse(f"/jobs?state=dead&done={verb}&number={done}", 303)

    def _dead(self) -> list[Job]:
        return self._desk.queue.find(state=JobState.DEAD, limit=MOST_DEAD)

    def _group(self, key: str) -> Alike:
        group = next((one for one in alike(self._dead()) if one.key == key), None)
        if group is None:
            raise Refused(404, "no dead job has this reason any more")
        return group

    def _subject(self, request: Request) -> Subject:
        job = self._desk.queue.get(row_id(request.path_params["id"]))
        if job is None:
            raise Refused(404, "there is no such job")
        return self._desk.reader.about([job])[0]

    def _ask(self, request: Request, verb: Verb, subjects: list[Subject], group: Alike | None = None) -> Response:
        first = subjects[0]
        if group is None and first.job.state is not JobState.DEAD:
            raise Refused(409, f"job {first.job.id} is not dead: there is nothing to {verb}")
        return self._rendering.page(
            request,
            "confirm.html",
            "/jobs",
            verb=verb,
            subjects=subjects,
            kind=first.job.kind,
            reason=first.job.reason or "",
            newest=group.newest if group else first.job.id,
            total=len(group.jobs) if group else 1,
        )

    async def _sealed(self, request: Request) -> dict[str, str]:
        form = await read_form(request)
        if not self._sessions.is_sealed(session_of(request), form.get("seal", "")):
            raise Refused(403, "this form is not of this session: load the page anew")
        return form

    def _change_all(self, verb: Verb, jobs: Sequence[Job], peer: str) -> int:
        return sum(self._change(verb, subject, peer) for subject in self._desk.reader.about(jobs))

    def _change(self, verb: Verb, subject: Subject, peer: str) -> bool:
        """Do it, if the job is dead still; whether it was."""
        job, queue = subject.job, self._desk.queue
        change = queue.retry if verb is Verb.RETRY else queue.discard
        if not change(job.id, self._desk.now()):
            return False
        if verb is Verb.RETRY:
            self._desk.wake(job.kind)
        uid = subject.about.study_instance_uid
        structlog.get_logger().info(
            "console_retried" if verb is Verb.RETRY else "console_discarded",
            job=job.id,
            kind=str(job.kind),
            study=Study(uid),
            peer=peer,
        )
        said = f"job {job.id} ({job.kind}) {verb.done} at the console, study {study_digest(uid)}"
        self._desk.audit(SecurityAlert(Alert.RESTRICTED_FUNCTION, said, person(peer), AuditOutcome.SUCCESS))
        return True


def _verb(request: Request) -> Verb:
    try:
        return Verb(request.path_params["verb"])
    except ValueError:
        raise Refused(404, "there is no such page") from None


def _notice(request: Request) -> str:
    """What a form that led here did."""
    if "done" not in request.query_params:
        return ""
    verb, done = word(request, "done", Verb, Verb.RETRY), number(request, "number") or 0
    follows = "waits again and is taken up next" if verb is Verb.RETRY else "is put away for good"
    if done == 1:
        return f"Done: the job {follows}."
    return f"Done: of {done} jobs each {follows}." if done else "Nothing was done: somebody was quicker."
