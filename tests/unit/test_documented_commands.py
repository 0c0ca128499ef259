"""Every command that a page tells a person to type is one that there is, with options and values that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ocunet_pacs.cli.main import app as pacs
from tests.conftest import PROJECT
from training.cli.main import app as train

TREES = {"ocunet-pacs": pacs, "ocunet-train": train}
MODULES = {"ocunet_pacs": "ocunet-pacs", "training": "ocunet-train"}
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("**/*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def commands_of(line: str) -> list[list[str]]:
    """Our programs' part of a shell line as words: without comments, redirections and what runs them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    into_a_file = False
    for word in lexer:
        if set(word) <= set("|&;"):
            commands.append([])
        elif not set(word) <= set("<>"):
            if not into_a_file:
                commands[-1].append(word)
            into_a_file = False
        else:
            into_a_file = True
    return [found for command in commands if (found := _from_our_name_on(command))]


def _from_our_name_on(words: list[str]) -> list[str]:
    for place, word in enumerate(words):
        if word == "-m" and words[place + 1] in MODULES:
            return [MODULES[words[place + 1]], *words[place + 2 :]]
        if Path(word).name in TREES and (place == 0 or words[0] in {"sudo", "exec", "nice"}):
            if place + 1 < len(words) and Path(words[place + 1]).name == Path(word).name:
                continue  # the account of the same name, as in `sudo -u ocunet-pacs ocunet-pacs`
            return [Path(word).name, *words[place + 1 :]]
    return []


def typed(page: Path) -> Iterator[list[str]]:
    """What the shell blocks of a page run of ours."""
    for language, block in FENCED.findall(page.read_text(encoding="utf-8")):
        if language in {"", "sh", "bash", "console"}:
            for line in block.replace("\\\n", " ").splitlines():
                if re.search(r"\bocunet-(pacs|train) |-m training", line) and "'{" not in line:
                    yield from commands_of(line.removeprefix("$ "))


def mentioned(page: Path) -> Iterator[list[str]]:
    """What running text names between backticks, without brackets and dots; a bare program's name is none."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for span in re.findall(r"`([^`]+)`", " ".join(text.split())):
        words = [word.strip("[]").removesuffix("...") for word in span.split(" ") if word not in {"...", "\u2026"}]
        if words[0] in TREES and len(words) > 1:
            yield words


def parse(words: list[str]) -> None:
    """What the program does with the words, but for the doing."""
    program, *rest = words
    root = get_command(TREES[program])
    _disarm(root)
    root.main(rest, prog_name=program, standalone_mode=False)


def _disarm(command: Any) -> None:
    if command.callback is not None:
        command.callback = lambda *_args, **_values: None
    for below in getattr(command, "commands", {}).values():
        _disarm(below)


@page_by_page
def test_what_a_page_tells_to_type_is_taken(page: Path) -> None:
    for words in typed(page):
        parse(words)


@page_by_page
def test_what_a_page_mentions_is_there(page: Path) -> None:
    for words in mentioned(page):
        try:
            parse(words)
        except Exception as error:
            # Running text leaves arguments out and writes ID for a number.
            if "BadParameter" not in {kind.__name__ for kind in type(error).__mro__}:
                raise


@page_by_page
def test_modules_and_targets_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for module in set(re.findall(r"python3? -m ((?:tests|training|ocunet_pacs)(?:\.\w+)*)", text)):
        assert find_spec(module) is not None, module
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_commands_are_found_in_shell_lines() -> None:
    assert commands_of("sudo -u ocunet-pacs /opt/x/bin/ocunet-pacs db check | less  # all well?") == [
        ["ocunet-pacs", "db", "check"]
    ]
    assert commands_of("ocunet-train recipe > recipe.yaml && torchrun -m training train recipe.yaml") == [
        ["ocunet-train", "recipe"],
        ["ocunet-train", "train", "recipe.yaml"],
    ]
    assert commands_of("systemctl restart ocunet-pacs; rm -r ocunet-pacs") == []


@pytest.mark.parametrize(
    "wrong",
    ["ocunet-pacs jobs mend 17", "ocunet-pacs status --jsn", "ocunet-pacs jobs show twelve", "ocunet-train split"],
)
def test_a_page_that_is_wrong_is_found(wrong: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```sh\n{wrong}   # does what it says\n```\n", encoding="utf-8")
    (words,) = typed(page)
    with pytest.raises(Exception, match=r"(?i)no such|missing|valid"):
        parse(words)
