"""How `serve` passes a reload on to its roles: whoever takes work over goes before whoever makes it.

A destination that is new is known to `deliver` before `work` makes the first result for it, and a `work` that knows the
site's new rules is there before a listener hands on what they are about.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

_TURNS = ("deliver", "work")
"""Commands in their order; all others come after them, together."""


class Role(Protocol):
    """What is asked of a role here."""

    name: str
    command: str
    optional: bool
    process: subprocess.Popen[bytes] | None
    ready: bool


class Waves:
    """One reload of a tree at a time. A role that is not running reads the new settings when it starts.

    One that is starting is asked as soon as it is ready, because it may have read the old ones. One that is optional is
    asked with the last, and not waited for. `refused`: what roles did not take up, by name.
    """

    def __init__(self, roles: Sequence[Role]) -> None:
        self._roles = roles
        self._due: set[str] = set()
        self._asked: set[str] = set()
        self.under_way = False
        self.refused: dict[str, str] = {}

    def begin(self) -> None:
        """Ask all of them, from the next `go_on` on."""
        self._due = {role.name for role in self._roles}
        self._asked.clear()
        self.refused.clear()
        self.under_way = True

    def hear(self, line: str, value: str) -> None:
        """A line of a role's notice."""
        if line == "X_ROLE_READY":
            self._asked.discard(value)
        elif line == "X_ROLE_REFUSED":
            name, _, why = value.partition(" ")
            self.refused[name] = why

    def go_on(self) -> bool:
        """Ask those whose turn it is; True, once, when all are back that are waited for."""
        for role in self._roles:
            if role.process is None:
                self._due.discard(role.name)
                self._asked.discard(role.name)
                self.refused.pop(role.name, None)
        waited_for = [r for r in self._roles if not r.optional and r.name in self._due | self._asked]
        turn = min((_turn(role) for role in waited_for), default=len(_TURNS))
        for role in self._roles:
            if role.process is not None and role.ready and role.name in self._due and _turn(role) <= turn:
                role.process.send_signal(signal.SIGHUP)
                self._due.discard(role.name)
                self._asked.add(role.name)
        over = self.under_way and not waited_for
        self.under_way = self.under_way and not over
        return over


def _turn(role: Role) -> int:
    return _TURNS.index(role.command) if role.command in _TURNS else len(_TURNS)
