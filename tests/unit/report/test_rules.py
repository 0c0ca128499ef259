from __future__ import annotations

import warnings
from copy import deepcopy

import pytest
from pydicom.dataset import Dataset

from ocunet_pacs.domain.errors import InvalidReport
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.report.validate import RULES, broken_rules, check, kind_of, rules_for
from tests.unit.report.mutants import MUTANTS, originals

Originals = dict[str, tuple[OutputKind | None, Dataset]]
ALL = {rule.id: rule for kind in (None, *RULES) for rule in rules_for(kind)}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    return originals(tmp_path_factory.mktemp("valid"))


def test_valid_objects_break_no_rule_and_are_known_for_what_they_are(objects: Originals) -> None:
    for name, (kind, ds) in objects.items():
        assert broken_rules(ds) == [], name
        assert kind_of(ds) is kind, name


def test_every_rule_has_an_id_of_its_own_a_sentence_a_reason_and_a_mutant() -> None:
    rows = [rule for rules in (rules_for(None), *(rules_for(kind) for kind in RULES)) for rule in rules]
    assert all(rule.says and rule.basis for rule in rows)
    assert all(ALL[rule.id] is rule for rule in rows)
    assert len({rule.says for rule in ALL.values()}) == len(ALL)
    assert set(MUTANTS) == set(ALL)


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_mutant_breaks_its_rule_and_no_other(objects: Originals, rule: str) -> None:
    original, change = MUTANTS[rule]
    kind, ds = objects[original]
    mutant = deepcopy(ds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's about values that are wrong on purpose
        change(mutant)
        assert [broken.id for broken in broken_rules(mutant, kind)] == [rule]
        if kind is not None:
            with pytest.raises(InvalidReport, match=f"{rule} {ALL[rule].says}"):
                check(mutant, kind)


def test_all_broken_rules_are_named_at_once(objects: Originals) -> None:
    mutant = deepcopy(objects["report"][1])
    for rule in ("R04", "T02", "W02"):
        MUTANTS[rule][1](mutant)
    with pytest.raises(InvalidReport) as caught:
        check(mutant, OutputKind.REPORT)
    assert [words[:3] for words in str(caught.value).partition("rules: ")[2].split("; ")] == ["R04", "T02", "W02"]
    assert "Roe" not in str(caught.value)


def test_an_empty_data_set_breaks_rules_and_nothing_else() -> None:
    assert broken_rules(Dataset())
    for kind in RULES:
        assert broken_rules(Dataset(), kind)
