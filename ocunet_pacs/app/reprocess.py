"""`reprocess`: ask for one more revision of studies that are here, after a new bundle or with other settings.

The revision is an ordinary one: its report names the one before it. Work that would be the very same (images, bundle
and settings) makes nothing new. It waits behind today's patients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocunet_pacs.app.wake import Waker
from ocunet_pacs.domain.job import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from ocunet_pacs.domain.ledger import Ledger, PastStudy
    from ocunet_pacs.settings import Settings

_PAGE = 200


@dataclass(slots=True)
class Asked:
    """What became of a request, in numbers; `jobs` are the analyses that wait now."""

    jobs: list[int] = field(default_factory=list)
    removed: int = 0
    """Studies whose files are no longer kept: nothing is left to look at again."""
    busy: int = 0
    """Studies that are open, that wait for an analysis already, or of which some file is gone."""


def chosen(
    ledger: Ledger, *, study: str | None = None, since: datetime | None = None, bundle: str | None = None
) -> Iterator[PastStudy]:
    """The studies that fit everything that is asked for, page by page."""
    after = 0
    while True:
        page = ledger.studies_like(
            study_instance_uid=study, since=since, bundle_digest=bundle, after=after, limit=_PAGE
        )
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].id


def reprocess(settings: Settings, ledger: Ledger, studies: Iterable[PastStudy], clock: Callable[[], datetime]) -> Asked:
    """Ask for a revision of each. Asking twice asks once: what waits already is left alone."""
    asked = Asked()
    for study in studies:
        if study.removed:
            asked.removed += 1
            continue
        job = ledger.request_revision(study.id, clock(), settings.jobs.analysis_attempts, BACKGROUND)
        if job is None:
            asked.busy += 1
        else:
            asked.jobs.append(job)
    if asked.jobs:
        Waker(settings.store.path, "work")()
    return asked
