"""Rules for what a report says as a whole: summary, urgency, conclusions, remarks, and that they agree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocunet_pacs.report import codes, urgency, wording
from ocunet_pacs.report.items import same
from ocunet_pacs.report.rules import Rule
from ocunet_pacs.report.said import EYES, highest

if TYPE_CHECKING:
    from ocunet_pacs.report.rules import Object
    from ocunet_pacs.report.said import Said, Statement

_MODEL = re.compile(r"bundle sha256 [0-9a-f]{64}, operating point \S")


def _leads_with_urgency(said: Said) -> bool:
    return bool(said.summary) and said.summary[0].startswith(urgency.HEADING)


def _warns_first(read: Object) -> bool:
    versions = read.ds.get("SoftwareVersions", ())
    said = [item.text for item in read.said.root.children if item.value_type == "TEXT" and item.relation == "CONTAINS"]
    warnings = {"UNTRAINED WEIGHTS": wording.UNTRAINED, "RESEARCH BUNDLE": wording.RESEARCH}
    due = [words for mark, words in warnings.items() if mark in versions]
    return said[: len(due)] == due


def _names_the_model(said: Said) -> bool:
    return any(_MODEL.search(words) for words in said.remarks)


def _contradictions_are_stated(said: Said) -> bool:
    stated = any("contradiction" in words for words in said.remarks)
    return stated or not any(same(group.claim, codes.INDETERMINATE) for group in said.groups)


def _has_urgency(said: Said) -> bool:
    return said.root.value(codes.SUGGESTED_URGENCY) is not None


def _speaks_of_photographs(said: Said) -> bool:
    """Not so where a study holds nothing but other objects: then nothing is said of any eye."""
    return any(group.claim is not None or group.side for group in said.groups)


def _one_for_each_eye(said: Said) -> bool:
    concluded = [conclusion.side for conclusion in said.conclusions]
    eyes = {group.side for group in said.groups}
    return len(set(concluded)) == len(concluded) and (not concluded or set(concluded) == eyes)


def _conclusions_agree(said: Said) -> bool:
    return all(
        _concluded(conclusion) == _found(mine) and conclusion.urgency is highest(mine)
        for conclusion in said.conclusions
        for mine in [[group for group in said.groups if group.side == conclusion.side]]
    )


def _found(groups: list[Statement]) -> set[tuple[str, str]]:
    """The findings that these groups claim."""
    return {(group.finding.scheme, group.finding.value) for group in groups if group.finding and group.claims}


def _concluded(conclusion: Statement) -> set[tuple[str, str]]:
    """The findings that a conclusion names."""
    present = [item for item in conclusion.item.children if same(item.code, codes.PRESENT)]
    return {(item.name.scheme, item.name.value) for item in present if item.name is not None}


def _conclusions_come_first(said: Said) -> bool:
    containers = [item for item in said.root.children if item.value_type == "CONTAINER"]
    are_conclusions = [same(item.name, codes.CONCLUSIONS) for item in containers]
    return are_conclusions == sorted(are_conclusions, reverse=True)


def _eye_by_eye(said: Said) -> bool:
    places = [list(EYES).index(group.side) for group in said.groups]
    return places == sorted(places)


CONCLUSIONS = (
    Rule(
        "W01",
        "there is a summary, which leads with the urgency",
        "promise: half a minute's reading",
        true_of=lambda read: _leads_with_urgency(read.said),
    ),
    Rule(
        "W02",
        "the remarks say that this is no diagnosis",
        "promise: decision support, not verified",
        true_of=lambda read: any(words.startswith(wording.DISCLAIMER) for words in read.said.remarks),
    ),
    Rule(
        "W03",
        "the remarks name bundle digest and operating point",
        "promise: which model spoke",
        true_of=lambda read: _names_the_model(read.said),
    ),
    Rule(
        "W04",
        "untrained weights, and a research bundle, are called so before anything else",
        "promise",
        true_of=_warns_first,
    ),
    Rule(
        "W05",
        "contradictions are stated in words",
        "promise: stated, not hidden",
        true_of=lambda read: _contradictions_are_stated(read.said),
    ),
    Rule(
        "W06",
        "the study's urgency is given",
        "promise: coded, at the top",
        true_of=lambda read: _has_urgency(read.said),
    ),
    Rule(
        "W07",
        "the study's urgency is the highest of its labels",
        "promise: nothing urgent is lost",
        true_of=lambda read: not _has_urgency(read.said) or read.said.urgency is highest(read.said.groups),
    ),
    Rule(
        "W08",
        "there is a conclusion about what was photographed",
        "promise: per eye first",
        true_of=lambda read: bool(read.said.conclusions) or not _speaks_of_photographs(read.said),
    ),
    Rule(
        "W09",
        "every eye is concluded of once",
        "promise: per eye first",
        true_of=lambda read: _one_for_each_eye(read.said),
    ),
    Rule(
        "W10",
        "conclusions agree with the statements",
        "promise: nothing urgent is lost",
        true_of=lambda read: _conclusions_agree(read.said),
    ),
    Rule(
        "W11",
        "conclusions come before everything about single images",
        "promise: per eye first",
        true_of=lambda read: _conclusions_come_first(read.said),
    ),
    Rule(
        "W12",
        "statements come eye by eye, OD first",
        "promise: per eye first",
        true_of=lambda read: _eye_by_eye(read.said),
    ),
)
