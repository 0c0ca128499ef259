"""The shell blocks of a page, in order: under which heading, and the commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.conftest import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
SHELL = {"sh", "bash", "console", "cron"}
_PART = re.compile(r"^(?:#+ (?P<heading>[^\n]+)|```(?P<language>\w*)\n(?P<block>.*?)^```)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Lines that a person types one after the other."""

    heading: str
    language: str
    text: str

    @property
    def is_shell(self) -> bool:
        """Whether the page says that it is typed."""
        return self.language in SHELL

    @property
    def commands(self) -> list[str]:
        """Each command, without its comment and prompt; a line that goes on in the next is one.

        Of a line of a crontab only what cron would run.
        """
        if self.language == "cron":
            return [line.split(maxsplit=6)[6].replace(r"\%", "%") for line in self.text.splitlines()]
        lines = (line.strip().removeprefix("$ ") for line in self.text.replace("\\\n", " ").splitlines())
        return [re.sub(r"\s+#(\s.*)?$", "", line) for line in lines if line and not line.startswith("#")]


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of the page."""
    heading = ""
    for part in _PART.finditer(page.read_text("utf-8")):
        if part["heading"] is not None:
            heading = part["heading"]
        else:
            yield Block(heading, part["language"], part["block"])
