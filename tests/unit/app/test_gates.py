"""The site's gates from its settings file, and what the documentation says about them."""

from __future__ import annotations

import re

import yaml

from ocunet_pacs import settings
from ocunet_pacs.app.parts import gate_rules
from ocunet_pacs.domain.gates import OPEN_FROM_THE_START, Gate
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.report.wording import REASON_WORDS
from tests.conftest import PROJECT

PAGE = (PROJECT / "docs" / "eligibility.md").read_text()


def test_the_documented_example_loads_and_means_what_the_page_says() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    rules = gate_rules(settings.from_tree(yaml.safe_load(example)))
    assert rules.everybody.open == OPEN_FROM_THE_START | {Gate.DERIVED}
    camera, ward = rules.of("canon-room-2"), rules.of("childrens-ward")
    assert camera.open == rules.everybody.open | {Gate.VL_PHOTOGRAPHIC, Gate.SECONDARY_CAPTURE}
    assert camera.by_name == {Gate.VL_PHOTOGRAPHIC, Gate.SECONDARY_CAPTURE}
    assert ward.open == {Gate.DERIVED, Gate.CHILD}
    assert {rules.of(name).minimum_age for name in ("", "canon-room-2", "childrens-ward")} == {16.0}
    assert rules.of("a stranger") == rules.everybody


def test_archives_and_watched_folders_have_gates_too() -> None:
    tree = {
        "archives": [{"name": "pacs", "ae_title": "A", "host": "h", "port": 1, "open": ["vl_photographic"]}],
        "watch": [{"name": "export", "path": "/srv/x", "unnamed": "accept", "close": ["unproven_region"]}],
    }
    rules = gate_rules(settings.from_tree(tree))
    assert rules.of("pacs").by_name == {Gate.VL_PHOTOGRAPHIC}
    assert rules.of("export").open == frozenset()


def test_every_gate_is_documented() -> None:
    for gate in Gate:
        assert f"`{gate}`" in PAGE, gate


def test_every_reason_has_words_for_a_reader() -> None:
    assert REASON_WORDS.keys() == set(ReasonCode)
