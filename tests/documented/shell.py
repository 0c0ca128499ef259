"""A shell on a host of its own that types what a page says, but for what the rules say instead."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.host.machine import Ran

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.host.machine import Machine


@dataclass(frozen=True)
class Rule:
    """What becomes of commands that match `pattern` from their first to their last character.

    `instead` is run in their place (a replacement as `re.sub` knows it); None: nothing is. `outside`: they are run on
    another machine. `test`: the test that runs them, where that is another one.
    """

    pattern: str
    because: str
    instead: str | None = None
    outside: bool = False
    test: str = ""

    def matches(self, command: str) -> bool:
        """Whether the command is one of these."""
        return re.fullmatch(self.pattern, command) is not None


@dataclass(frozen=True)
class Typed:
    """A command of a page, and what became of it. `ran` is None where a rule says that it is not run here."""

    command: str
    rule: Rule | None
    ran: Ran | None


class Shell:
    """Root's shell: it keeps its folder from one command to the next."""

    def __init__(self, machine: Machine, rules: Sequence[Rule], folder: str = "/root") -> None:
        self.machine = machine
        self.rules = rules
        self.folder = folder

    def type(self, command: str, *, network: str = "", **environment: str) -> Typed:
        """Run it, or what the first rule says instead. `network`: as for `Machine.run`."""
        rule = next((rule for rule in self.rules if rule.matches(command)), None)
        if rule is not None and rule.outside:
            return Typed(command, rule, _outside(command))
        if rule is not None and rule.instead is None:
            return Typed(command, rule, None)
        words = command if rule is None else re.sub(rule.pattern, str(rule.instead), command)
        # A folder in which the next command begins, as in a terminal.
        script = f"{words}\nstatus=$?\npwd >/run/typed\nexit $status"
        ran = self.machine.run(script, folder=self.folder, seconds=600, network=network, **environment)
        self.folder = self.machine.run("cat /run/typed").text.strip() or self.folder
        return Typed(command, rule, ran)

    def type_all(self, commands: Sequence[str], *, network: str = "", **environment: str) -> Iterator[Typed]:
        """One after the other. RuntimeError at the first that fails, with what it said."""
        for command in commands:
            typed = self.type(command, network=network, **environment)
            if typed.ran is not None and typed.ran.status:
                journal = self.machine.run("journalctl --no-pager -n 30 -o cat").text
                raise RuntimeError(
                    f"{command!r} ended with status {typed.ran.status}: {typed.ran.text[-2000:]}\n{journal[-4000:]}"
                )
            yield typed


def _outside(command: str) -> Ran:
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False, timeout=60)
    return Ran(done.returncode, done.stdout + done.stderr, 0.0)
