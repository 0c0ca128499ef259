"""What the pages under docs show as settings is read as settings."""

from __future__ import annotations

import re

import pytest
import yaml

from ocunet_pacs.intake.watch import read_name
from ocunet_pacs.settings import from_tree
from tests.conftest import PROJECT


def examples(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    ("page", "section"),
    [
        ("web-intake.md", "stow"),
        ("delivery.md", "destinations"),
        ("watch-folder.md", "watch"),
        ("record-systems.md", "records"),
        ("notifications.md", "notifications"),
        ("viewers.md", "destinations"),
        ("shadow.md", "shadow"),
    ],
)
def test_the_examples_of_a_page_are_settings(page: str, section: str) -> None:
    found = [from_tree(yaml.safe_load(example)) for example in examples(page)]
    assert found
    assert all(getattr(settings, section) for settings in found)


def test_the_example_of_a_pattern_takes_the_names_beside_it() -> None:
    pattern = from_tree(yaml.safe_load(examples("watch-folder.md")[0])).watch[0].pattern
    for name in ("4711_OD_20260301.jpg", "4711_OS_20260301_2.png"):
        facts = read_name(pattern, name)
        assert facts is not None
        assert facts.patient_id == "4711"
