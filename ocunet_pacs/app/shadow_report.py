"""How a candidate stands: its part of `status`, and `shadow report`. Reads no weights and loads no torch."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ocunet_pacs.app.process import utc_now
from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.domain.job import JobState
from ocunet_pacs.domain.shadow import Candidate
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.pipeline.shadow_report import report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ocunet_pacs.domain.shadow import PastLook, ShadowLedger
    from ocunet_pacs.pipeline.agreement import Agreement
    from ocunet_pacs.pipeline.shadow_report import LabelReport, ShadowReport
    from ocunet_pacs.settings import Settings

_PAGE = 100


def shadow_status(settings: Settings, looks: ShadowLedger | None) -> dict[str, Any] | None:
    """The `shadow` of `status --json`; None where no candidate is set. `looks` None: the database cannot be used.

    `problem` says in a sentence why the candidate cannot run; the results of the active bundle do not depend on it.
    """
    if settings.shadow.bundle is None:
        return None
    found: dict[str, Any] = {"bundle": None, "problem": None}
    counts = dict.fromkeys(("done", "failed", "waiting", "running", "last_look"))
    try:
        manifest = read_manifest(settings.shadow.bundle)
        found["bundle"] = {"name": manifest.name, "digest": manifest.digest, "trained": manifest.trained}
        manifest.thresholds_at(settings.shadow.operating_point)
        if not (manifest.trained or settings.shadow.allow_untrained):
            found["problem"] = "its weights are untrained and shadow.allow_untrained is false"
    except BundleError as error:
        found["problem"] = str(error)
        return found | counts
    candidate = Candidate(manifest.digest, settings.shadow.operating_point, manifest.name)
    return found | (counts if looks is None else _standing(settings, looks, candidate))


def _standing(settings: Settings, looks: ShadowLedger, candidate: Candidate) -> dict[str, Any]:
    states = looks.look_counts(candidate)
    last = looks.last_look(candidate)
    return {
        "done": states.get(JobState.DONE, 0),
        "failed": states.get(JobState.DEAD, 0) + states.get(JobState.DISCARDED, 0),
        "waiting": looks.unseen(candidate, utc_now() - settings.shadow.look_back) + states.get(JobState.WAITING, 0),
        "running": states.get(JobState.RUNNING, 0),
        "last_look": _time(last),
    }


def find_candidate(settings: Settings, looks: ShadowLedger, digest: str = "") -> Candidate | None:
    """Whom a report is about: whose digest begins so; without one the candidate of the settings, else the latest."""
    known = looks.candidates()
    if not digest:
        current = _configured(settings)
        return current or next(iter(known), None)
    return next((candidate for candidate in known if candidate.digest.startswith(digest)), None)


def _configured(settings: Settings) -> Candidate | None:
    if settings.shadow.bundle is None:
        return None
    try:
        manifest = read_manifest(settings.shadow.bundle)
    except BundleError:
        return None  # `status` says what is wrong with it; earlier candidates have reports all the same
    return Candidate(manifest.digest, settings.shadow.operating_point, manifest.name)


def shadow_report(
    settings: Settings, looks: ShadowLedger, candidate: Candidate, *, since: datetime | None = None, active: str = ""
) -> dict[str, Any]:
    """The shape of `shadow report --json`, as docs/shadow.md describes it. What is undefined is None."""
    found = report(_past_looks(looks, candidate, since), active)
    in_the_shadow = candidate == _configured(settings)
    return {
        "candidate": asdict(candidate),
        "active": None if found.active is None else asdict(found.active),
        "since": _time(since),
        "first": _time(found.first),
        "last": _time(found.last),
        "studies": {
            "compared": found.studies,
            "waiting": _standing(settings, looks, candidate)["waiting"] if in_the_shadow else None,
            "nothing_to_compare": sum(found.not_compared.values()),
            "failed": sum(found.failed.values()),
        },
        "images": {
            "compared": found.images,
            "same_positives": found.same_positives if found.labels else None,
            "not_scored": found.not_scored,
        },
        "nothing_to_compare": found.not_compared,
        "failures": found.failed,
        "left_out": [asdict(bundle) | {"images": images} for bundle, images in found.left_out.items()],
        **_compared(found),
    }


def _compared(found: ShadowReport) -> dict[str, Any]:
    return {
        "labels": [_label(label) for label in found.labels],
        "only_active": list(found.only_active),
        "only_candidate": list(found.only_candidate),
        "furthest": [asdict(difference) for difference in found.furthest],
    }


def _label(label: LabelReport) -> dict[str, Any]:
    first, second = label.halves
    return {
        "label": label.label,
        **_figures(label.whole),
        "first_half": _figures(first),
        "second_half": _figures(second),
    }


def _figures(agreement: Agreement) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(agreement).items()
    }


def _past_looks(looks: ShadowLedger, candidate: Candidate, since: datetime | None) -> Iterator[PastLook]:
    after = 0
    while page := looks.past_looks(candidate, since, after, _PAGE):
        yield from page
        after = page[-1].id


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
