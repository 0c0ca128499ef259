"""What is different in the settings since they were last read on this host: an alert for each kind of change."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

from ocunet_pacs.domain.audit import Alert, AuditOutcome, SecurityAlert

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST_BYTES = 1 << 20


def changes(path: Path, sections: Mapping[Alert, Mapping[str, str]]) -> list[SecurityAlert]:
    """An alert for each kind of which a section is another than at the last call, and note what is now.

    `sections`: by kind the names of the settings' sections, each with a digest of what it says. The first call finds
    nothing to compare with. Of several processes that start at once, one finds the changes. OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = _read(os.pread(descriptor, _MOST_BYTES, 0))
        now = {alert.value[0]: dict(found) for alert, found in sections.items()}
        if now != before:
            data = json.dumps(now).encode("ascii")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, data, 0)
    finally:
        os.close(descriptor)
    if not before:
        return []
    return [
        SecurityAlert(alert, f"changed since they were last read: {', '.join(changed)}", outcome=AuditOutcome.SUCCESS)
        for alert, found in sections.items()
        if (changed := _changed(before.get(alert.value[0], {}), found))
    ]


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def _read(data: bytes) -> dict[str, dict[str, str]]:
    """What was noted; nothing where that is damaged."""
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    if not isinstance(found, dict) or not all(isinstance(part, dict) for part in found.values()):
        return {}
    return found
