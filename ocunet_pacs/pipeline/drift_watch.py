"""One night of the drift watch: every camera beside its reference; references made where there are none yet.

A night changes nothing but its own rows, and the same night done twice gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from ocunet_pacs.domain.drift import Baseline, Finding, Night, Part
from ocunet_pacs.drift.judgement import Judged, Rule, judge, measures_of
from ocunet_pacs.drift.reference import Reference
from ocunet_pacs.drift.sample import Sample, image_sample, score_sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from ocunet_pacs.domain.drift import DriftLedger, KnownCamera, Observed
    from ocunet_pacs.drift.bundle_reference import BundleReference

DAY = timedelta(days=1)
STANDING = "standing"
"""What the finding about a camera as such is called."""


BESIDE_BUNDLE = "beside the bundle"
"""What the finding is called that compares a camera with the bundle's own photographs."""


@dataclass(frozen=True, slots=True)
class WatchRule:
    """When a reference is made, what a night looks at, and what is an alert.

    A reference is made of at least `photographs` of at least `days` days. A night looks at the last 24 hours, or at as
    many days more, up to `window`, as it takes to have `patients`. A camera that sent nothing for `keep` is forgotten.
    """

    photographs: int = 200
    days: int = 7
    patients: int = 20
    window: timedelta = timedelta(days=7)
    keep: timedelta = timedelta(days=35)
    alert: Rule = field(default_factory=Rule)


@dataclass(slots=True)
class _References:
    """Of one camera, as they are kept or were just made."""

    image: Reference | None
    image_until: datetime | None
    scores: Reference | None
    scores_until: datetime | None


def watch_night(
    ledger: DriftLedger, rule: WatchRule, day: date, now: datetime, bundle: BundleReference | None = None
) -> Night:
    """Compare, keep and return what `day`'s night finds. `bundle`: what the bundle's own photographs are like."""
    cameras = [camera for camera in ledger.cameras() if camera.last_seen_at > now - rule.keep]
    known = {camera.id: _References(*_kept(ledger, camera.id, Part.IMAGE, ""), None, None) for camera in cameras}
    # Before any reference is made tonight: a camera is new where others were known when it came.
    watched_since = min((one.image_until for one in known.values() if one.image_until is not None), default=None)
    findings: list[Finding] = []
    for camera in cameras:
        findings += _camera(ledger, rule, camera, _Site(cameras, known, watched_since, bundle), now)
    night = Night(day, now, tuple(findings))
    ledger.keep_night(night)
    return night


@dataclass(frozen=True, slots=True)
class _Site:
    """All cameras, their references, and since when any camera has one."""

    cameras: Sequence[KnownCamera]
    known: dict[int, _References]
    watched_since: datetime | None
    bundle: BundleReference | None

    def is_new(self, camera: KnownCamera) -> bool:
        has_own = self.known[camera.id].image is not None
        late = self.watched_since is not None and camera.first_seen_at > self.watched_since
        return late and not has_own and camera.reference_since is None


def _camera(ledger: DriftLedger, rule: WatchRule, camera: KnownCamera, site: _Site, now: datetime) -> list[Finding]:
    references = site.known[camera.id]
    everything = ledger.observed(camera.id, since=camera.reference_since, until=now) if references.image is None else []
    recent = ledger.observed(camera.id, since=now - rule.window, until=now)
    bundle = recent[-1].bundle_digest if recent else ""
    references.scores, references.scores_until = _kept(ledger, camera.id, Part.SCORES, bundle)
    is_new = site.is_new(camera)
    if references.image is None:
        made = _make(ledger, rule, camera, image_sample(everything), Part.IMAGE, "", everything)
        if made is None:
            standing = _standing(camera, rule, site, everything, recent, now, is_new=is_new)
            return [standing, *_beside_bundle(rule, camera, site.bundle, everything)]
        references.image, references.image_until = made, everything[-1].at
    if references.scores is None and recent:
        whole = everything or ledger.observed(camera.id, since=camera.reference_since, until=now)
        sample = score_sample(whole, bundle)
        references.scores = _make(ledger, rule, camera, sample, Part.SCORES, bundle, whole)
        references.scores_until = whole[-1].at if references.scores is not None else None
    return [
        *_compared(rule, camera, references, recent, bundle, now),
        *_beside_bundle(rule, camera, site.bundle, recent),
    ]


def _kept(
    ledger: DriftLedger, camera_id: int, part: Part, bundle_digest: str
) -> tuple[Reference | None, datetime | None]:
    for kept in ledger.baselines(camera_id):
        if (kept.part, kept.bundle_digest) == (part, bundle_digest):
            return Reference.from_json(kept.content), kept.until
    return None, None


def _make(
    ledger: DriftLedger,
    rule: WatchRule,
    camera: KnownCamera,
    sample: Sample,
    part: Part,
    bundle_digest: str,
    observed: Sequence[Observed],
) -> Reference | None:
    if sample.photographs < rule.photographs or sample.days < rule.days or sample.studies < 2 * rule.patients:
        return None
    reference = Reference.of(sample)
    ledger.keep_baseline(Baseline(camera.id, part, bundle_digest, observed[-1].at, reference.to_json()))
    return reference


def _compared(
    rule: WatchRule,
    camera: KnownCamera,
    references: _References,
    recent: Sequence[Observed],
    bundle: str,
    now: datetime,
) -> list[Finding]:
    """What the night's photographs are like beside the references."""
    assert references.image is not None
    looked = _night(recent, references.image_until, rule, now)
    measures = measures_of(references.image, references.scores)
    sample = image_sample(looked)
    if sample.studies < rule.patients:
        silent = f"silent since {camera.last_seen_at.date().isoformat()}" if not recent else "too few to compare"
        words = f"{silent}: {sample.photographs} photographs of {sample.studies} patients"
        return [_finding(camera, Part.CAMERA, Judged(STANDING, 0.0, 0.0, words), sample)]
    found = [
        _finding(camera, Part.IMAGE, judged, sample) for judged in judge(references.image, sample, rule.alert, measures)
    ]
    if references.scores is not None:
        said = score_sample(_night(recent, references.scores_until, rule, now), bundle)
        if said.studies >= rule.patients:
            judgements = judge(references.scores, said, rule.alert, measures)
            found += [_finding(camera, Part.SCORES, judged, said) for judged in judgements]
    alerts = sum(one.alert for one in found)
    words = f"{alerts} of {len(found)} measures have changed" if alerts else f"as before in {len(found)} measures"
    return [_finding(camera, Part.CAMERA, Judged(STANDING, 0.0, 0.0, words), sample), *found]


def _night(recent: Sequence[Observed], until: datetime | None, rule: WatchRule, now: datetime) -> list[Observed]:
    """The last 24 hours' photographs, or those of as many days as it takes; none that made the reference."""
    fresh = [one for one in recent if until is None or one.at > until]
    span = DAY
    while True:
        looked = [one for one in fresh if one.at > now - span]
        if span >= rule.window or len({one.study_id for one in looked}) >= rule.patients:
            return looked
        span += DAY


def _beside_bundle(
    rule: WatchRule, camera: KnownCamera, bundle: BundleReference | None, observed: Sequence[Observed]
) -> list[Finding]:
    """How far a camera is from the photographs on which the bundle was found good. For information: no alert."""
    if bundle is None:
        return []
    sample = image_sample(observed)
    if sample.studies < rule.patients:
        return []
    said = score_sample(observed, observed[-1].bundle_digest)
    measures = measures_of(bundle.image, bundle.scores)
    judged = judge(bundle.image, sample, rule.alert, measures) + judge(bundle.scores, said, rule.alert, measures)
    differs = sorted((one for one in judged if one.alert), key=lambda one: -one.value / one.limit)
    named = ", ".join(f"{one.measure} {one.words}" for one in differs[:3])
    words = f"differs in {len(differs)} of {len(judged)} measures: {named}" if differs else "like its own photographs"
    found = Judged(BESIDE_BUNDLE, float(len(differs)), float(len(judged)), words)
    return [_finding(camera, Part.CAMERA, found, sample, alert=False)]


def _standing(
    camera: KnownCamera,
    rule: WatchRule,
    site: _Site,
    everything: Sequence[Observed],
    recent: Sequence[Observed],
    now: datetime,
    *,
    is_new: bool,
) -> Finding:
    """How a camera stands that has no reference yet."""
    sample = image_sample(everything)
    words = f"collecting its reference: {sample.photographs} of {rule.photographs} photographs"
    words += f", {sample.days} of {rule.days} days"
    alert = is_new and camera.first_seen_at > now - rule.window
    if is_new:
        words = f"new since {camera.first_seen_at.date().isoformat()}, {_like(rule, site, recent)}; {words}"
    judged = Judged(STANDING, 0.0, 0.0, words)
    return _finding(camera, Part.CAMERA, judged, sample, alert=alert)


def _like(rule: WatchRule, site: _Site, recent: Sequence[Observed]) -> str:
    """Which known camera a new one is like, or what it differs in from the one that it is nearest to."""
    sample = image_sample(recent)
    others = [(site.known[camera.id].image, camera.words) for camera in site.cameras]
    compared: list[tuple[int, str, list[str]]] = []
    for reference, words in others:
        if reference is not None:
            judged = judge(reference, sample, rule.alert, measures_of(reference))
            differs = sorted((one for one in judged if one.alert), key=lambda one: -one.value / one.limit)
            compared.append((len(differs), words, [one.measure for one in differs[:3]]))
    if not compared or sample.studies < rule.patients:
        return "too few photographs to say what it is like"
    count, words, measures = min(compared)
    if not count:
        return f"like {words}"
    return f"unlike every other camera; {words} is nearest and differs in {count} measures ({', '.join(measures)})"


def _finding(camera: KnownCamera, part: Part, judged: Judged, sample: Sample, *, alert: bool | None = None) -> Finding:
    return Finding(
        camera.id,
        part,
        judged.measure,
        judged.value,
        judged.limit,
        judged.alert if alert is None else alert,
        sample.photographs,
        sample.studies,
        judged.words,
    )
