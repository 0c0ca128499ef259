"""Known vulnerabilities of what constraints.txt names: pip-audit's answer, in which silence is not health.

pip-audit leaves out a package that its service does not answer for, says that nothing was found and ends with success.
Here that is a failure of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import yaml
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LONGEST = timedelta(days=184)
"""An exemption is looked at again within half a year."""


class Outcome(IntEnum):
    """Exit statuses."""

    CLEAN = 0
    """Every package was looked up; what was found is accepted."""
    FOUND = 1
    """A vulnerability that nobody accepted, or whose acceptance has run out."""
    NOT_LOOKED_UP = 3
    """Some package was not looked up, and nothing can be said of it."""


@dataclass(frozen=True)
class Exemption:
    """A vulnerability that a release goes out with."""

    id: str
    package: str
    reason: str
    until: date


def read_exemptions(path: Path) -> list[Exemption]:
    """Read accepted-vulnerabilities.yaml. ValueError, naming every line that is not as it should be."""
    found, wrong = [], []
    for item in yaml.safe_load(path.read_text("utf-8")):
        try:
            entry = Exemption(**item)
        except TypeError:
            wrong.append(f"{item}: must have id, package, reason, until")
            continue
        if not isinstance(entry.until, date):
            wrong.append(f"{entry.id}: until must be a day")
        if not isinstance(entry.reason, str) or len(entry.reason.split()) < 5:
            wrong.append(f"{entry.id}: a reason is a sentence")
        found.append(entry)
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def ask(constraints: Path) -> Mapping[str, Any]:
    """pip-audit's answer for every line of the file. Nothing is installed for it."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints), "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)  # type: ignore[no-any-return]
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
        return {"dependencies": [], "failure": last}


def judge(answer: Mapping[str, Any], exemptions: Sequence[Exemption], today: date) -> tuple[Outcome, list[str]]:
    """What follows from the answer, and a sentence for each thing to know."""
    accepted = {(canonicalize_name(entry.package), entry.id): entry for entry in exemptions}
    said: list[str] = []
    skipped = [item["name"] for item in answer["dependencies"] if "skip_reason" in item]
    refused = 0
    for item in answer["dependencies"]:
        for found in item.get("vulns", []):
            names = [found["id"], *found.get("aliases", [])]
            entry = next((accepted[key] for name in names if (key := (item["name"], name)) in accepted), None)
            fixed = ", ".join(found.get("fix_versions", [])) or "no release yet"
            if entry is None:
                said.append(f"{item['name']} {item['version']}: {found['id']}, mended in {fixed}")
            elif entry.until < today:
                said.append(f"{item['name']} {item['version']}: {found['id']} was accepted until {entry.until}")
            refused += entry is None or entry.until < today
    looked_up = len(answer["dependencies"]) - len(skipped)
    if "failure" in answer or skipped or not looked_up:
        asked = looked_up + len(skipped)
        why = answer.get("failure", "the service knows nothing of the others")
        said.append(f"{looked_up} of {asked} packages were looked up, so nothing can be said of the rest: {why}")
        return (Outcome.FOUND if refused else Outcome.NOT_LOOKED_UP), said
    said.append(f"{looked_up} packages were looked up; {refused} vulnerabilities to see to")
    return (Outcome.FOUND if refused else Outcome.CLEAN), said
