"""The site's rule: one commented file, whose defaults are the product's, every mistake reported at once."""

import pytest

from tests.conftest import PROJECT
from training.errors import PromotionError
from training.evaluation.rule import Rule, read_rule, rule_text

SHIPPED = PROJECT / "config" / "training" / "promotion.yaml"


def test_the_shipped_file_says_what_holds_without_one():
    assert SHIPPED.read_text(encoding="utf-8") == rule_text(Rule()), (
        "write it again: ocunet-train promote --show-rule > config/training/promotion.yaml"
    )
    assert read_rule(SHIPPED) == Rule() == read_rule(None)


def test_what_is_printed_is_what_it_was(tmp_path):
    made = Rule(label_auroc=None, lost_labels=("PT",), urgencies=("soon",), minimum_groups=7)
    (tmp_path / "rule.yaml").write_text(rule_text(made))
    assert read_rule(tmp_path / "rule.yaml") == made
    (tmp_path / "rule.yaml").write_text("")
    assert read_rule(tmp_path / "rule.yaml") == Rule()


def test_every_condition_is_described():
    lines = rule_text(Rule()).splitlines()
    keys = [n for n, line in enumerate(lines) if ":" in line and not line.startswith("#")]
    assert len(keys) == len(Rule.model_fields)
    assert all(lines[n - 1].startswith("# ") and len(lines[n - 1]) > 20 for n in keys)


def test_every_mistake_is_named(tmp_path):
    path = tmp_path / "rule.yaml"
    path.write_text("minimum_group: 3\nlevel: 2\nurgencies: [quick]\n")
    with pytest.raises(PromotionError) as caught:
        read_rule(path)
    said = str(caught.value).splitlines()
    assert len(said) == 3
    assert "rule.yaml: minimum_group: unknown key" in said
    path.write_text("lost_labels: [XX]\n")
    with pytest.raises(PromotionError, match=r"lost_labels: XX: not in the table"):
        read_rule(path)
    path.write_text("level: [\n")
    with pytest.raises(PromotionError, match="line 2"):
        read_rule(path)
    with pytest.raises(PromotionError, match="cannot be read"):
        read_rule(tmp_path / "none.yaml")
