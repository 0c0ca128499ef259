"""The page of events says what the code logs: every name, level and field, and nothing else."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
PAGE = PROJECT / "docs" / "logs.md"


@dataclass
class Event:
    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


@cache
def events() -> dict[str, Event]:
    """What the code logs, by name."""
    found: dict[str, Event] = {}
    for path in sorted((PROJECT / "ocunet_pacs").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                for name, levels, fields in _said(call, str(path)):
                    event = found.setdefault(name, Event())
                    event.levels |= levels
                    event.fields |= fields
    return found


def _said(call: ast.Call, where: str) -> Iterator[tuple[str, set[str], set[str]]]:
    methods = [one for one in _either(call.func) if isinstance(one, ast.Attribute)]
    if not methods or not all(_is_log(one) for one in methods):
        return
    levels = {LEVELS.get(one.attr, "by its end") for one in methods}
    message = call.args[1] if methods[0].attr == "log" else call.args[0]
    fields = {keyword.arg or "" for keyword in call.keywords}
    if "exc_info" in fields or methods[0].attr == "exception":
        fields = fields - {"exc_info"} | {"error", "trace"}
    for name in _either(message):
        assert isinstance(name, ast.Constant), f"{where}:{call.lineno}: the name of an event is a constant"
        yield str(name.value), levels, fields


def _either(node: ast.expr) -> Iterator[ast.expr]:
    """The expression, or both ends of a conditional one."""
    if isinstance(node, ast.IfExp):
        yield from _either(node.body)
        yield from _either(node.orelse)
    else:
        yield node


def _is_log(method: ast.Attribute) -> bool:
    """Whether it is a method of one of our logs, by what such are called here."""
    on = ast.unparse(method.value)
    return method.attr in {*LEVELS, "log"} and bool(
        re.search(r"(\blog|_log|get_logger\(\)|_log_for\(\w+\)|_log\(\))$", on)
    )


def rows() -> dict[str, list[str]]:
    table = PAGE.read_text(encoding="utf-8").partition("\n## Events\n")[2]
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in re.findall(r"^\| `.*", table, re.MULTILINE)
    ]
    return {row[0].strip("`"): row for row in cells}


def test_every_event_is_on_the_page_and_no_other() -> None:
    assert rows().keys() == events().keys()


@pytest.mark.parametrize("name", sorted(events()))
def test_an_event_has_the_level_and_the_fields_that_the_page_says(name: str) -> None:
    row, event = rows()[name], events()[name]
    assert set(row[1].split(", ")) == event.levels
    assert set(re.findall(r"`(\w+)`", row[3])) == event.fields
    assert row[2]
    assert row[4]
