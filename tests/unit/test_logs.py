"""What may be written, and what must not."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import structlog

from ocunet_pacs import logs
from ocunet_pacs.domain.errors import StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "Wunderlich^Ottokar"


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_line_is_json_with_event_level_time_and_role(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json", role="work")
    structlog.get_logger().info("study_analysed", images=2)
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "study_analysed"
    assert line["level"] == "info"
    assert line["role"] == "work"
    assert line["images"] == 2
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_line_is_written_at_once(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes share one standard error: a line and its end in two writes lets another's line come between."""
    written: list[str] = []

    class Recorder(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Recorder())
    logs.configure("info", style)
    structlog.get_logger().info("study_analysed", images=2)
    logging.getLogger("some.library").error("a library's word")
    assert len(written) == 2
    assert all(text.endswith("\n") for text in written)


def test_a_line_from_a_thread_names_its_role(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json", role="deliver")
    thread = threading.Thread(target=lambda: structlog.get_logger().info("delivery"))
    thread.start()
    thread.join()
    assert json.loads(capsys.readouterr().err)["role"] == "deliver"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_foreign_exception_keeps_its_place_and_loses_its_text(capsys: pytest.CaptureFixture[str], style: str) -> None:
    logs.configure("info", style)
    try:
        raise ValueError(f"invalid value {NAME}")
    except ValueError as error:
        structlog.get_logger().error("step_failed", exc_info=error)
    written = capsys.readouterr().err
    assert NAME not in written
    assert "ValueError" in written
    assert "test_logs.py" in written


def test_our_own_errors_keep_their_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger().error("refused", exc_info=StoreFull("less than 1 GiB is free"))
    assert "less than 1 GiB is free" in capsys.readouterr().err


def test_a_library_that_logs_an_exception_does_not_quote_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    try:
        raise KeyError(NAME)
    except KeyError:
        logging.getLogger("some.library").exception("it failed")
    written = capsys.readouterr().err
    assert "it failed" in written
    assert NAME not in written


@pytest.mark.parametrize("library", [*logs.QUIET_LIBRARIES, *logs.SILENT_LIBRARIES])
def test_libraries_that_leak_are_quiet_at_any_level(capsys: pytest.CaptureFixture[str], library: str) -> None:
    logs.configure("debug", "json")
    for name in (library, f"{library}.acse"):
        logging.getLogger(name).debug("identifier %s", NAME)
        logging.getLogger(name).warning("odd name %s", NAME)
    assert NAME not in capsys.readouterr().err


def test_a_study_appears_as_a_digest_that_is_stable_and_short() -> None:
    assert logs.study_digest("1.2.3") == logs.study_digest("1.2.3")
    assert logs.study_digest("1.2.3") != logs.study_digest("1.2.4")
    assert len(logs.study_digest("1.2.3")) == 12
