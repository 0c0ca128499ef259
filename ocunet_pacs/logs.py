"""Logging: one line per state change, an event name plus fields, to standard error.

Who may say what: our own modules log through structlog with fields that hold no patient data (a study appears as the
digest that `study_digest` gives). Libraries speak through the standard library's logging; those that are known to
write patient data (pynetdicom dumps data sets and identifiers at DEBUG, highdicom and pydicom quote odd values in
warnings) are held to ERROR or silenced here, whatever level the site asks for.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import structlog

from ocunet_pacs.domain.errors import OcunetError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import Processor

QUIET_LIBRARIES = ("pydicom", "highdicom", "PIL", "apscheduler", "alembic", "sqlalchemy", "openjpeg", "gdcm")
SILENT_LIBRARIES = ("pynetdicom",)
"""What they report as an error reaches our own code too, and is said there without the text of what was sent."""


def study_digest(study_instance_uid: str) -> str:
    """Twelve hex digits that stand for a study in logs: enough to follow it, not enough to look it up elsewhere."""
    return hashlib.sha256(study_instance_uid.encode("utf-8", "replace")).hexdigest()[:12]


def _safe_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and the places it went through.

    Our own errors keep their text, which holds no patient data; a foreign one may quote the value it choked on.
    """
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else sys.exc_info()[1] if info else None
    if error is not None:
        event["error"] = f"{type(error).__name__}: {error}" if isinstance(error, OcunetError) else type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        event["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def configure(level: str = "info", style: str = "auto", *, role: str = "") -> None:
    """Set up logging for this process. `style`: json, console, or auto (console on a terminal, else json)."""
    console = sys.stderr.isatty() if style == "auto" else style == "console"
    number = logging.getLevelNamesMapping()[level.upper()]

    def add_role(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        # Not a context variable: those do not reach the threads that a role starts.
        return {**event, "role": role} if role else event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_role,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _safe_exception,
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if console
        else [structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in SILENT_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Warnings quote the value that they complain about, and the value may be a patient's name.
    warnings.simplefilter("ignore")
