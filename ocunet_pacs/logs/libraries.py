"""What is written of a library's message, and of an exception that nobody caught.

A library's message is a sentence with values in it, and which value may be a patient's name is known only to whoever
reads its source. So the place in its code is written, which leads to the sentence, and the sentence itself only where
the code has it as a constant.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType


class LibraryMessages(logging.Handler):
    """Hands what libraries log to our own log: from which library and place, the exception, the words of its code.

    `quiet`: from which level on a library is heard. Its logger's own level does not hold: pydicom sets that of its
    logger when it is imported, which may be later.
    """

    def __init__(self, quiet: Mapping[str, int]) -> None:
        super().__init__()
        self._quiet = dict(quiet)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is to be written."""
        return record.levelno >= self._quiet.get(record.name.partition(".")[0], 0)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. Never formats the message: its arguments stay out."""
        level = logging.getLevelNamesMapping().get(record.levelname, logging.ERROR)
        structlog.get_logger().log(
            level,
            "library_message",
            library=record.name,
            place=f"{record.pathname}:{record.lineno} {record.funcName}",
            says=_constant(record),
            exc_info=record.exc_info,
        )


def _constant(record: logging.LogRecord) -> str | None:
    """The message before its arguments are put in, if it is a constant of the function that logged it."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the standard library's logging finds the caller this way
    while frame is not None:
        code = frame.f_code
        if code.co_filename == record.pathname and code.co_name == record.funcName:
            constants = [one for one in code.co_consts if type(one) is str]
            return record.msg if type(record.msg) is str and record.msg in constants else None
        frame = frame.f_back
    return None


def report_crashes() -> None:
    """From now on an exception that nobody catches is a line of the log: Python's traceback quotes its text.

    For the entry point of a process, before it starts a thread.
    """
    sys.excepthook = _crashed
    sys.unraisablehook = _ignored
    threading.excepthook = _thread_crashed


def _crashed(_kind: object, error: BaseException, _trace: object) -> None:
    if not isinstance(error, KeyboardInterrupt):
        _log().error("crashed", exc_info=error)


def _thread_crashed(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        _log().error("thread_crashed", thread=args.thread.name if args.thread else "", exc_info=args.exc_value)


def _ignored(args: sys.UnraisableHookArgs) -> None:
    _log().error("exception_ignored", exc_info=args.exc_value)


def _log() -> structlog.typing.FilteringBoundLogger:
    if not structlog.is_configured():
        from ocunet_pacs.logs import configure  # noqa: PLC0415 - it imports this module

        configure()
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log
