"""How much the store holds, as it was when it was last measured: measuring walks over all files, asking reads one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ocunet_pacs.store.files import STORE_PARTS
from ocunet_pacs.store.incoming import as_store_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocunet_pacs.store.files import Files

_NAME = "usage.json"


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of the files that have a name, by part of the store, and when they were measured (aware, UTC)."""

    parts: Mapping[str, int]
    at: datetime

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts.values())


def measure(files: Files, now: datetime) -> Usage:
    """Walk over all files, and keep what came of it for `last_measured`. StoreError."""
    usage = Usage({part: files.used_bytes([part]) for part in STORE_PARTS}, now)
    kept = json.dumps({"parts": dict(usage.parts), "at": usage.at.isoformat()})
    # One name for each moment: two hosts that measure at once do not write into one file.
    temporary = files.incoming / f"usage-{now.timestamp():.6f}.part"
    with as_store_error("keep what was measured"):
        temporary.write_text(kept, encoding="ascii")
        temporary.replace(files.root / _NAME)
    return usage


def last_measured(files: Files) -> Usage | None:
    """What `measure` found last, whichever host it ran on; None before the first time. StoreError.

    What cannot be understood counts as not measured: it is measured again within the hour.
    """
    with as_store_error("read what was measured"):
        try:
            kept = json.loads((files.root / _NAME).read_text(encoding="ascii"))
            parts = {str(part): int(number) for part, number in kept["parts"].items()}
            return Usage(parts, datetime.fromisoformat(kept["at"]))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
