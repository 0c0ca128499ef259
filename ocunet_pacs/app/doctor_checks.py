"""What a check of `doctor` is, and how all of them are made at once.

A check is a name and a function without arguments that looks and gives a verdict. The checks run side by side, each
with its own time: what hangs (a share on the network, a PACS that is gone) costs that time once. A check that raises or
is late has found something as well; the others go on.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import OcunetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """The daemon works; a person should look all the same."""
    FAULT = "fault"
    """Something that the settings ask for does not work."""


_ORDER = tuple(Level)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found, in a sentence without patient data, and what to do about it (empty where all is well)."""

    level: Level
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """`look` may take `seconds`; it may raise OcunetError, whose text becomes a fault. Late: `when_late`."""

    name: str
    look: Callable[[], Verdict]
    seconds: float = 10.0
    when_late: Verdict = Verdict(
        Level.FAULT, "no answer in time", "see whether the disk, the share or the network behind it hangs"
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's name and its verdict: one line for a person."""

    check: str
    verdict: Verdict


def ok(found: str) -> Verdict:
    """All is well."""
    return Verdict(Level.OK, found)


def warning(found: str, remedy: str) -> Verdict:
    """The daemon works; a person should look all the same."""
    return Verdict(Level.WARNING, found, remedy)


def fault(found: str, remedy: str) -> Verdict:
    """Something that the settings ask for does not work."""
    return Verdict(Level.FAULT, found, remedy)


def fault_of(error: OcunetError, name: str = "") -> Verdict:
    """Our own error as a fault: a message says what happened and, after a semicolon, what to do.

    `name` is what it begins with where that is said already. An error of several lines has several problems.
    """
    lines = str(error).removeprefix(f"{name}: ").splitlines()
    if len(lines) != 1:
        return fault("; ".join(lines), "")
    found, _, remedy = lines[0].partition("; ")
    return fault(found, remedy)


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict of several: as bad as the worst, with the sentences of those that are as bad. At least one."""
    every = list(verdicts)
    level = max((verdict.level for verdict in every), key=_ORDER.index)
    worst = [verdict for verdict in every if verdict.level is level]
    found = dict.fromkeys(verdict.found for verdict in worst)
    remedies = dict.fromkeys(verdict.remedy for verdict in worst if verdict.remedy)
    return Verdict(level, "; ".join(found), "; ".join(remedies))


def examine(checks: Sequence[Check], monotonic: Callable[[], float] = time.monotonic) -> list[Finding]:
    """All checks at once; their findings in the order of `checks`, after the longest `seconds` at the latest."""
    started = monotonic()
    answers: list[queue.SimpleQueue[Verdict]] = [queue.SimpleQueue() for _ in checks]
    for check, answer in zip(checks, answers, strict=True):
        # Daemon threads: one that hangs in the kernel must not keep the program from ending.
        threading.Thread(target=_look, args=(check, answer), name=f"check-{check.name}", daemon=True).start()
    findings = []
    for check, answer in zip(checks, answers, strict=True):
        try:
            verdict = answer.get(timeout=max(started + check.seconds - monotonic(), 0.0))
        except queue.Empty:
            verdict = check.when_late
        findings.append(Finding(check.name, verdict))
    return findings


def _look(check: Check, answer: queue.SimpleQueue[Verdict]) -> None:
    try:
        answer.put(check.look())
    except OcunetError as error:
        answer.put(fault_of(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this check's finding and ends no other
        # By type and place, without its text, which may quote a value.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(frame.filename).name} line {frame.lineno}"
        answer.put(fault(f"the check itself failed: {place}", "report it, with this line"))
