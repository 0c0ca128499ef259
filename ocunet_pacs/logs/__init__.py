"""Logging: one line per state change, an event name plus fields, to standard error.

    fields.py      what a field of ours may hold, and how a study is named
    libraries.py   what is written of a library's message, and of what nobody caught

Our own modules log through structlog, with fields that hold no patient data. Libraries speak through the standard
library's logging, and their words are written only where they are a constant of their code: what they put into a
message may be a patient's name, whatever the level. docs/logs.md lists the events.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import structlog

from ocunet_pacs.logs.fields import Study, safe_exception, safe_fields, study_digest
from ocunet_pacs.logs.libraries import LibraryMessages, report_crashes

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import Processor

__all__ = ["Study", "configure", "report_crashes", "study_digest"]

_HEARD_FROM = {
    **dict.fromkeys(("pydicom", "highdicom", "PIL", "apscheduler", "alembic", "sqlalchemy"), logging.ERROR),
    # What it reports as an error reaches our own code too, and is said there.
    "pynetdicom": logging.CRITICAL,
}
"""Libraries whose warnings are about what was sent to us, or routine."""
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""syslog(3)."""


def configure(level: str = "info", style: str = "auto", *, role: str = "", study_uids: bool = False) -> None:
    """Set up logging for this process.

    `style`: json, console, or auto (console on a terminal, else json). `study_uids`: a study's line has its UID too.
    """
    console = sys.stderr.isatty() if style == "auto" else style == "console"
    number = logging.getLevelNamesMapping()[level.upper()]

    def add_role(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        # Not a context variable: those do not reach the threads that a role starts.
        return {**event, "role": role} if role else event

    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_role,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        safe_exception,
        safe_fields(study_uids=study_uids),
        _with_priority(renderer) if _is_journal() else renderer,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [LibraryMessages(_HEARD_FROM)]
    root.setLevel(max(number, logging.WARNING))
    # Warnings quote the value that they complain about; and libraries turn filters off for a while.
    warnings.simplefilter("ignore")
    warnings.showwarning = _say_nothing


def _say_nothing(*_words: object, **_more: object) -> None:
    pass


def _is_journal() -> bool:
    """Whether standard error leads to the journal: it is then the stream that systemd names (systemd.exec(5))."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _with_priority(renderer: Any) -> Processor:  # noqa: ANN401 - one of structlog's, which have no common type
    """The journal reads a line's priority from its beginning (sd-daemon(3)), so that `journalctl -p` finds errors."""

    def render(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        return f"<{_PRIORITIES[event['level']]}>{renderer(logger, method, event)}"

    return render
