"""What a field of a log line may hold: plain values, and of everything else no more than what it is."""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.errors import OcunetError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import Processor

_PLAIN = (str, int, float, bool, type(None))
_SPOKEN = (datetime, timedelta, PurePath)
_UID = re.compile(r"[0-9.]{1,64}")
_MANY = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Study:
    """A study as a field of a log line: written as its digest, and as its UID too where the site allows that."""

    uid: str

    def __repr__(self) -> str:
        """With its digest alone: whoever prints an event that was not made safe prints no UID."""
        return f"Study({study_digest(self.uid)})"


def study_digest(study_instance_uid: str) -> str:
    """Twelve hex digits that stand for a study in logs: enough to follow it, not enough to look it up elsewhere."""
    return hashlib.sha256(study_instance_uid.encode("utf-8", "replace")).hexdigest()[:12]


def safe_fields(*, study_uids: bool) -> Processor:
    """Leaves of each field what is plain. An object's text is its library's business, and may be a patient's name."""

    def process(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        said = {name: _plain(value) for name, value in event.items()}
        if study_uids:
            named = {name: value.uid for name, value in event.items() if isinstance(value, Study)}
            # What stands in the place of a UID may be anything.
            said |= {f"{name}_uid": uid for name, uid in named.items() if _UID.fullmatch(uid)}
        return said

    return process


def safe_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and the places it went through.

    Our own errors keep their text, which holds no patient data; a foreign one may quote the value it choked on.
    """
    error = _exception(event.pop("exc_info", None))
    if error is not None:
        event["error"] = described(error)
        frames = traceback.extract_tb(error.__traceback__)
        event["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def described(error: BaseException) -> str:
    """Our own error with its text, any other by its type."""
    return f"{type(error).__name__}: {error}" if isinstance(error, OcunetError) else type(error).__name__


def _exception(info: object) -> BaseException | None:
    """Of what the callers of a log's methods give as `exc_info`: an exception, the three parts of one, or True."""
    if isinstance(info, tuple):
        info = info[1]
    if isinstance(info, BaseException):
        return info
    return sys.exc_info()[1] if info else None


def _plain(value: object) -> Any:  # noqa: ANN401 - any plain value
    # Only these types themselves: those that libraries derive from them (PersonName's parts, UIDs) say what was sent.
    if type(value) in _MANY:
        return [_plain(one) for one in value]  # type: ignore[attr-defined]
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(one) for key, one in value.items()}
    return _plain_single(value)


def _plain_single(value: object) -> Any:  # noqa: ANN401 - any plain value
    if isinstance(value, Enum):
        value = value.value
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Study):
        return study_digest(value.uid)
    if isinstance(value, BaseException):
        return described(value)
    return str(value) if isinstance(value, _SPOKEN) else f"<{type(value).__name__}>"
