"""Rules for a report's single statements: that they are whole, and claim no more than the model said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.labels import PRIVATE_SCHEME, Code
from ocunet_pacs.report import codes, ordering
from ocunet_pacs.report.caveats import caveat_of
from ocunet_pacs.report.codes import label_of
from ocunet_pacs.report.items import same
from ocunet_pacs.report.rules import Rule
from ocunet_pacs.report.said import EYES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.report.items import Item
    from ocunet_pacs.report.rules import Object
    from ocunet_pacs.report.said import Said, Statement

_ABSENT = Code("272519000", codes.PRESENT.scheme, "Absent")
_TOLERANCE = 0.006
"""Of percentages: the report rounds probabilities to two decimals."""
_ALGORITHM = (codes.ALGORITHM_NAME, codes.ALGORITHM_VERSION, codes.ALGORITHM_MANUFACTURER)
_PARAMETERS = ("threshold", "temperature", "bundle sha256", "operating point")


def _each(holds: Callable[[Statement], bool]) -> Callable[[Object], bool]:
    return lambda read: all(map(holds, read.said.groups))


def _algorithm(group: Statement) -> bool:
    return group.probability is None or (
        all(any(group.item.texts(name)) for name in _ALGORITHM) and all(map(group.parameter, _PARAMETERS))
    )


def _is_percentage(number: Item) -> bool:
    return number.number is not None and 0 <= number.number <= 100 and same(number.unit, codes.PERCENT)


def _claim_follows_threshold(group: Statement) -> bool:
    if group.probability is None or group.threshold is None or group.claim is None or not 0 <= group.probability <= 100:
        return True  # other rules ask for them
    least = 100 * group.threshold
    return group.probability >= least - _TOLERANCE if group.claims else group.probability <= least + _TOLERANCE


def _is_no_flag(group: Statement) -> bool:
    return not any(same(group.finding, label_of(name).code) for name in (ordering.COMPOSITE, ordering.NORMAL))


def _is_a_label(group: Statement) -> bool:
    return group.finding is None or group.label is not None or group.finding.scheme == PRIVATE_SCHEME


def _has_its_site(group: Statement) -> bool:
    site = group.item.value(codes.FINDING_SITE)
    return group.finding is None or (site is not None and (group.label is None or same(site, group.label.site)))


def _identifier_names_label(group: Statement) -> bool:
    return group.label is None or not group.identifier or group.label.display in group.identifier


def _identifier_names_eye(group: Statement) -> bool:
    return not group.identifier or group.identifier.startswith(f"{EYES[group.side]} ")


def _eye_is_the_photograph_s(said: Said) -> bool:
    for group in said.groups:
        entry = None if group.source is None else said.library.get(group.source.sop_instance)
        side = None if entry is None else entry.value(codes.IMAGE_LATERALITY)
        if side is not None and side.value != group.side:
            return False
    return True


def _rests_on_its_source(group: Statement) -> bool:
    rests_on = [number.refers_to(codes.SOURCE_OF_MEASUREMENT) for number in group.item.named(codes.PROBABILITY)]
    return all(reference in {None, group.source} for reference in rests_on)


def _sources_are_in_the_library(said: Said) -> bool:
    sources = [group.source.sop_instance for group in said.groups if group.source is not None]
    return not said.library or set(sources) <= said.library.keys()


def _explained_is_claimed(group: Statement) -> bool:
    return not group.item.named(codes.VISUAL_EXPLANATION) or group.claims


def _caveat_is_there(group: Statement) -> bool:
    return group.label is None or caveat_of(group.label) in {"", *group.comments}


def _silence_is_explained(group: Statement) -> bool:
    """A group that neither gives a probability nor says anything of a finding or of normality says why."""
    if group.probability is not None or group.claim is not None or group.finding is not None:
        return True
    return group.item.value(codes.QUALITY_ASSESSMENT) is not None and any(group.comments)


STATEMENTS = (
    Rule(
        "S01",
        "every probability names its algorithm, threshold and parameters",
        "PS3.16 TID 4019",
        true_of=_each(_algorithm),
    ),
    Rule(
        "S02",
        "probabilities are percentages",
        "UCUM; 0 to 100",
        true_of=lambda read: all(map(_is_percentage, read.said.numbers)),
    ),
    Rule(
        "S03",
        "what is claimed reached its threshold, and the rest did not",
        "promise: above threshold and nothing more",
        true_of=_each(_claim_follows_threshold),
    ),
    Rule(
        "S04",
        "every finding says whether it is present",
        "PS3.16 TID 1501",
        true_of=_each(lambda group: group.finding is None or group.claim is not None),
    ),
    Rule(
        "S05",
        "nothing is called absent",
        "it overstates a model's negative",
        true_of=lambda read: not any(same(item.code, _ABSENT) for item in read.said.everything),
    ),
    Rule("S06", "every finding is a label of ours", "promise: one table of codes", true_of=_each(_is_a_label)),
    Rule(
        "S07",
        "composite flag and normal class are no findings",
        "PS3.16: Normality (121402, DCM)",
        true_of=_each(_is_no_flag),
    ),
    Rule("S08", "every finding has its label's site", "PS3.16 TID 1501", true_of=_each(_has_its_site)),
    Rule(
        "S09",
        "tracking identifiers name the finding's label",
        "OHIF shows little else beside a number",
        true_of=_each(_identifier_names_label),
    ),
    Rule(
        "S10",
        "tracking identifiers name the site's eye",
        "wrong laterality",
        true_of=_each(_identifier_names_eye),
    ),
    Rule(
        "S11",
        "every statement's eye is its photograph's",
        "wrong laterality",
        true_of=lambda read: _eye_is_the_photograph_s(read.said),
    ),
    Rule(
        "S12",
        "every probability rests on the photograph that its group names",
        "results beside the wrong image",
        true_of=_each(_rests_on_its_source),
    ),
    Rule(
        "S13",
        "every photograph that is spoken of is in the image library",
        "PS3.16 TID 1600",
        true_of=lambda read: _sources_are_in_the_library(read.said),
    ),
    Rule(
        "S14",
        "only what is claimed is explained by a heatmap",
        "PS3.16: Visual explanation (130401, DCM)",
        true_of=_each(_explained_is_claimed),
    ),
    Rule(
        "S15",
        "every label's caveat stands beside it",
        "promise: labels are not misread",
        true_of=_each(_caveat_is_there),
    ),
    Rule("S16", "what was not assessed says why", "promise: never a silent zero", true_of=_each(_silence_is_explained)),
)
