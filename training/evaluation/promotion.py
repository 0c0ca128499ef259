"""A candidate weighed: which bundles, what their comparison found, and what the site's rule says to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocunet_pacs.model.bundle import verify_bundle
from training.errors import PromotionError
from training.evaluation.active import Standing, active, standing
from training.evaluation.compare import compare, plain
from training.evaluation.gate import Decision, Evidence, decide, decide_first, evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.model.manifest import Manifest as BundleManifest
    from training.data.manifest import Manifest
    from training.evaluation.compare import Comparison
    from training.evaluation.opinion import Opinion
    from training.evaluation.rule import Rule
    from training.metrics.judged import Judged


@dataclass(frozen=True, slots=True)
class Weighed:
    """`active` and `comparison` are None where no bundle was active. `remarks` are what speaks against the judges."""

    candidate: Standing
    active: Standing | None
    comparison: Comparison | None
    rule: Rule
    decision: Decision
    remarks: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """What the log of promotions keeps: the rule and every condition, without the comparison."""
        return {"rule": self.rule.model_dump(mode="json"), "remarks": list(self.remarks), **self.decision.to_dict()}

    def to_json(self) -> bytes:
        """All of it, ASCII JSON with two spaces and a line end; null for what is undefined."""
        content = {
            "candidate": asdict(self.candidate),
            "active": asdict(self.active) if self.active else None,
            "decision": self.record(),
            "comparison": plain(asdict(self.comparison)) if self.comparison else None,
        }
        return json.dumps(content, indent=2, allow_nan=False).encode("ascii") + b"\n"


def weigh(
    candidate: Path,
    link: Path,
    rule: Rule,
    say: Callable[[Path], Opinion],
    *,
    manifest: Manifest | None,
    training: Manifest | None = None,
    first: bool = False,
) -> Weighed:
    """Hold a candidate against the bundle behind `link`, or with `first` against what it can show alone.

    `say` is asked what the bundle in a folder says about the photographs of `manifest`; `training` is the manifest that
    the candidate was trained on, where that is another. PromotionError where there is no active bundle and `first` does
    not say so, or the other way round, where both are the same bundle, or where `say` answers for another one.
    BundleError where the candidate is damaged or untrained.
    """
    mine, theirs = standing(candidate), active(link)
    if theirs is None and not first:
        raise PromotionError(f"{link}: no bundle is active; --first promotes one without a comparison")
    if theirs is not None and first:
        raise PromotionError(f"{link}: {theirs.name} is active, so this is not the first")
    if theirs is not None and mine.digest == theirs.digest:
        raise PromotionError(f"{candidate}: is the active bundle already")
    made = verify_bundle(candidate)
    made.require_trained(allow_untrained=False)
    spoken = _said_by(mine, say(candidate))
    unseen = unseen_by(made, spoken.judged, manifest, training)
    remarks = [f"{mine.name}: {remark}" for remark in spoken.remarks]
    if theirs is None:
        return Weighed(mine, None, None, rule, decide_first(spoken.judged, rule, unseen), tuple(remarks))
    before = _said_by(theirs, say(Path(theirs.folder)))
    remarks += [f"{theirs.name}: {remark}" for remark in before.remarks]
    found = compare(before.judged, spoken.judged, draws=rule.draws, seed=rule.seed, level=rule.level)
    return Weighed(mine, theirs, found, rule, decide(found, rule, unseen), tuple(remarks))


def unseen_by(bundle: BundleManifest, judged: Judged, manifest: Manifest | None, training: Manifest | None) -> Evidence:
    """How it is known that the bundle was not made with the photographs that it was judged by. See `gate.evidence`."""
    if manifest is None:
        return Evidence(passed=False, note="nothing says which photographs these are: name their manifest (--manifest)")
    keys = set(judged.keys)
    rows = [row for row in manifest.rows if row.key in keys]
    if strangers := len(keys - {row.key for row in rows}):
        return Evidence(passed=False, note=f"{strangers} of {len(keys)} photographs are not in the manifest")
    return evidence(bundle, manifest, rows, training)


def _said_by(bundle: Standing, said: Opinion) -> Opinion:
    """With the bundle's name, which an evaluation that is older than the name may not hold."""
    if said.judged.bundle != bundle.digest:
        raise PromotionError(f"{bundle.folder}: what was said of the photographs was said by another bundle")
    return replace(said, judged=replace(said.judged, name=bundle.name))
