"""The notice of an urgent study, as the senders read it: a JSON document that the report stage made."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What may stand in a header and in a Message-ID."""


def read_notice(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The file's bytes, and the document in them. StoreError when it cannot be read or is no notice."""
    try:
        content = path.read_bytes()
        notice = json.loads(content)
    except OSError as error:
        raise StoreError("a notice to deliver is missing from the store or not readable") from error
    except ValueError as error:
        raise StoreError("a notice to deliver is not JSON") from error
    if not isinstance(notice, dict) or not _ID.fullmatch(str(notice.get("id", ""))):
        raise StoreError("a notice to deliver has no id")
    return content, notice
