"""Every command of every page is typed, as it stands there, on a host on which docs/install.md was followed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.conftest import PROJECT
from tests.documented.pages import PAGES, SHELL, blocks
from tests.documented.rules import OFFLINE, ON_PAGES, ONLINE, PIP
from tests.documented.shell import Rule
from tests.host import needs_a_host
from tests.unit.test_documented_commands import TREES, mentioned, typed

COMMANDS = {
    page.name: [command for block in blocks(page) if block.is_shell for command in block.commands] for page in PAGES
}
WITH_COMMANDS = [page.name for page in PAGES if COMMANDS[page.name]]
UNITS = "tests/acceptance/test_units_run.py::test_the_roles_do_their_work_with_what_their_units_leave_them"
DISCARD = "tests/unit/jobs/test_cli.py::test_a_job_that_is_not_dead_is_named_and_the_others_are_done"
NOT_RUN = {
    "/opt/ocunet-pacs/bin/pip check",
    "apt-get install python3-venv dcmtk",
    "git clone https://git.example/ocunet-pacs.git && cd ocunet-pacs",
    'make soak ARGS="--minutes 30 --seed 24 --out soak-out --docs docs/soak.md"',
    "make test",
    "pg_dump --format=custom --file=/backup/ocunet.dump ocunet",
    "pip install 'ocunet-pacs[train]'",
    "ssh -L 8043:localhost:8043 eye-clinic-1",
    "tensorboard --logdir train",
    "tar --create --file - split.csv fundus | split --bytes=48M - carried.",
    "cat carried.* | tar --extract --file -",
}
"""What nothing runs; the rules say why."""


MENTIONED = {
    "ocunet-pacs db check": "tests/integration/test_wheel.py::test_a_database_is_made_from_the_migrations_in_the_wheel",
    "ocunet-pacs console": UNITS,
    "ocunet-pacs demo": "tests/acceptance/test_demo.py::test_make_demo",
    "ocunet-pacs jobs discard": DISCARD,
    "ocunet-pacs listen": UNITS,
    "ocunet-pacs shadow run": UNITS,
    "ocunet-pacs stow": UNITS,
    "ocunet-pacs watch": UNITS,
    "ocunet-pacs wrap": "tests/acceptance/conftest.py::wrap_study",
}
"""Commands that are named in running text alone, and what runs them."""


@pytest.fixture(scope="module")
def told(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `python -m tests.documented` writes."""
    needs_a_host()
    out = tmp_path_factory.mktemp("documented") / "told.json"
    command = [sys.executable, "-m", "tests.documented", str(out), "--wheel", str(built_wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    found: dict[str, Any] = json.loads(out.read_text())
    return found


@pytest.mark.peers
@pytest.mark.timeout(1500)
def test_docs_install_leads_from_an_empty_host_to_results(told: dict[str, Any]) -> None:
    """Each step raises where it does not lead on: tests/acceptance/new_administrator.py."""
    assert list(told["steps"])[-3:] == ["first study sent", "report and heatmaps in Orthanc", "doctor finds nothing"]


@pytest.mark.peers
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_command_of_a_page_works(told: dict[str, Any], page: str) -> None:
    typed = told["pages"][page]
    failed = [one for one in typed if one["status"] not in {None, 0}]
    assert not failed, json.dumps(failed, indent=1)
    behind = [one["command"] for one in typed]
    assert behind == COMMANDS[page][-len(behind) :], "all of them, in order"


@pytest.mark.peers
@pytest.mark.timeout(1500)
def test_no_service_failed_meanwhile(told: dict[str, Any]) -> None:
    assert told["failed"] == ""


def rule_of(command: str) -> Rule | None:
    return next((rule for rule in (*ON_PAGES, *ONLINE) if rule.matches(command)), None)


def test_what_is_not_run_is_this() -> None:
    every = {command for commands in COMMANDS.values() for command in commands}
    silent = {
        command
        for command in every
        if (rule := rule_of(command)) and rule.instead is None and not rule.outside and not rule.test
    }
    assert silent == NOT_RUN


@pytest.mark.parametrize("rule", [*ON_PAGES, *ONLINE], ids=lambda rule: rule.pattern[:40])
def test_a_rule_is_for_a_command_that_there_is(rule: Rule) -> None:
    assert any(rule.matches(command) for commands in COMMANDS.values() for command in commands)
    assert rule.because


def name_of(words: list[str]) -> str:
    """The command without its arguments and options: `ocunet-pacs jobs retry`."""
    command, name = get_command(TREES[words[0]]), words[:1]
    for word in words[1:]:
        below = getattr(command, "commands", {}).get(word)
        if below is None:
            break
        command, name = below, [*name, word]
    return " ".join(name)


def test_what_running_text_alone_names_is_run_as_well() -> None:
    in_blocks = {name_of(words) for page in PAGES for words in typed(page)}
    in_text = {name_of(words) for page in PAGES for words in mentioned(page)}
    assert in_text - in_blocks - set(TREES) == set(MENTIONED)


@pytest.mark.parametrize("test", sorted({rule.test for rule in ON_PAGES if rule.test} | set(MENTIONED.values())))
def test_the_test_that_runs_a_command_is_there(test: str) -> None:
    file, name = test.split("::")
    tree = ast.parse((PROJECT / file).read_text("utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_no_block_that_is_typed_looks_like_another() -> None:
    """A block without a language, or with another, begins no line with a program that is typed elsewhere."""
    programs = {command.split()[0] for commands in COMMANDS.values() for command in commands}
    for page in PAGES:
        for block in blocks(page):
            if not block.is_shell:
                first = {line.split()[0] for line in block.text.splitlines() if line.split()}
                assert not first & programs, (page.name, block.text)
    assert {block.language for page in PAGES for block in blocks(page)} >= SHELL - {"bash"}


def test_an_installation_without_a_network_differs_from_one_with_it_in_pip_alone() -> None:
    changed = {rule.pattern for rule in OFFLINE} ^ {rule.pattern for rule in ONLINE}
    assert all(PIP in pattern for pattern in changed)
