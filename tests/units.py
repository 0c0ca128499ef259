"""The shipped systemd units as text: their lines by key, and what systemd-analyze says of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.conftest import PROJECT, program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FOLDER = PROJECT / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
PROGRAM = "/opt/ocunet-pacs/bin/ocunet-pacs"


def values(unit: str, key: str) -> list[str]:
    """What the unit sets the key to, each time that it does."""
    return re.findall(rf"^{key}=(.*)$", (FOLDER / unit).read_text("utf-8"), re.MULTILINE)


def seconds(span: str) -> float:
    """A time span such as 2min in seconds, as systemd reads it."""
    said = subprocess.run([program("systemd-analyze"), "timespan", span], capture_output=True, text=True, check=True)
    (microseconds,) = re.findall(r"[\u03bcu]s: (\d+)", said.stdout)
    return int(microseconds) / 1e6


def exposure(unit: Path) -> float:
    """How exposed systemd finds a service with this unit, from 0 (not at all) to 10."""
    command = [program("systemd-analyze"), "security", "--offline=true", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    (level,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    return float(level)


def complaints(units: Iterable[Path], folder: Path) -> list[str]:
    """What systemd-analyze finds wrong with copies in `folder`, for the systemd that is here.

    The program need not be installed; a systemd before 254 need not know how pauses grow, nor one before 253 a reload
    that it is told of.
    """
    version = subprocess.run([program("systemd-analyze"), "--version"], capture_output=True, text=True, check=True)
    (number,) = re.findall(r"^systemd (\d+)", version.stdout)
    for unit in units:
        text = unit.read_text("utf-8").replace(PROGRAM, str(shutil.which("true")))
        (folder / unit.name).write_text(text, "utf-8")
    command = [program("systemd-analyze"), "verify", "--man=no", *map(str, sorted(folder.iterdir()))]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    known = [r"Unknown key '(RestartSteps|RestartMaxDelaySec)'"] if int(number) < 254 else []
    known += [r"service type, ignoring: notify-reload$"] if int(number) < 253 else []
    found = [line for line in said.stderr.splitlines() if not any(re.search(words, line) for words in known)]
    return found or ([f"exit status {said.returncode}"] if said.returncode else [])


def allowed_calls(unit: str) -> frozenset[str]:
    """The system calls that the unit's SystemCallFilter= lines leave."""
    calls: set[str] = set()
    for line in values(unit, "SystemCallFilter"):
        for word in line.removeprefix("~").split():
            calls = calls - _expanded(word) if line.startswith("~") else calls | _expanded(word)
    return frozenset(calls)


def _expanded(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    said = subprocess.run(
        [program("systemd-analyze"), "syscall-filter", word], capture_output=True, text=True, check=True
    )
    lines = (line.strip() for line in said.stdout.splitlines()[1:])
    return {call for line in lines if line and not line.startswith("#") for call in _expanded(line)}
