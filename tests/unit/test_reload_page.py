"""docs/reload.md says of every setting what a reload does, and says what the program does."""

from __future__ import annotations

import re

from ocunet_pacs.settings import Settings, from_tree
from ocunet_pacs.settings.changing import TAKEN_UP, WHOLE
from ocunet_pacs.settings.kinds import Section
from tests.conftest import PROJECT


def test_the_table_is_what_the_program_does() -> None:
    page = (PROJECT / "docs" / "reload.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.*?) ?\|$", page, re.MULTILINE)
    assert rows == [(section, *_cells(section)) for section in Settings.model_fields]


def _cells(section: str) -> tuple[str, str]:
    taken, found = TAKEN_UP.get(section, frozenset()), getattr(from_tree({}), section)
    if not taken or taken == WHOLE:
        return ("all", "") if taken else ("", "all")
    assert isinstance(found, Section)
    keys = list(type(found).model_fields)
    return ", ".join(key for key in keys if key in taken), ", ".join(key for key in keys if key not in taken)
