"""What may be written, and what must not."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID
from sqlalchemy.exc import StatementError

from ocunet_pacs import logs
from ocunet_pacs.domain.errors import StoreFull

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "Wunderlich^Ottokar"


pytestmark = pytest.mark.usefixtures("logging_put_back")


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


def test_a_library_keeps_the_words_of_its_code_and_loses_what_it_puts_in(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    logging.getLogger("some.library").error("cannot read %s", NAME)
    line = json.loads(capsys.readouterr().err)
    assert line["library"] == "some.library"
    assert line["says"] == "cannot read %s"
    assert "test_logs.py" in line["place"]


def test_a_task_that_nobody_asked_about_is_told_without_its_exception_s_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """asyncio writes the task's whole representation into the message, and its exception with it."""

    async def fail() -> None:
        raise ValueError(NAME)

    async def forget() -> None:
        task = asyncio.get_running_loop().create_task(fail())
        await asyncio.sleep(0)
        del task

    logs.configure("info", "json")
    asyncio.run(forget())
    gc.collect()
    line = json.loads(capsys.readouterr().err)
    assert line["library"] == "asyncio"
    assert line["error"] == "ValueError"
    assert NAME not in json.dumps(line)


@pytest.mark.parametrize("style", ["json", "console"])
@settings(deadline=None)
@given(data=st.data())
def test_nothing_of_a_value_reaches_a_line_by_whatever_way(style: str, data: st.DataObject) -> None:
    """A library may put it into a message, an exception or an object, and we may put the object into a field."""
    written = _written(style, data.draw(ways()))
    assert "M4RK" not in written.upper(), written
    assert written.count("\n") == 1 or style == "console"


def ways() -> st.SearchStrategy[Callable[[], None]]:
    """Ways in which somebody who holds a value may have it logged."""
    library = logging.getLogger("some.library")
    ours = structlog.get_logger()
    value = st.sampled_from(("M4RK", "m4rk^M4RK=M4RK", "M4RK %s {} %(x)s \r\nM4RK", "\u202eM4RK\x1b[2J", "<3>M4RK"))
    held = st.recursive(
        value.flatmap(lambda text: st.sampled_from(holders(text))),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=2),
            inner.map(lambda one: {"a": one}),
            inner.map(lambda one: ("x", one)),
            inner.map(lambda one: ValueError("bad", one)),
        ),
        max_leaves=3,
    )
    level = st.sampled_from((logging.WARNING, logging.ERROR, logging.CRITICAL))

    def raised(error: Exception, log: Callable[[], None]) -> None:
        try:
            raise error from KeyError("M4RK")
        except type(error):
            log()

    return st.one_of(
        st.builds(lambda n, one: lambda: library.log(n, "odd value %r", one), level, held),
        st.builds(lambda n, one: lambda: library.log(n, f"odd value {one}"), level, held),
        st.builds(lambda n, one: lambda: library.log(n, one), level, held),
        st.builds(lambda one: lambda: library.error("%d values, %s", one), held),  # which cannot be formatted
        st.builds(lambda one: lambda: library.error("it failed", exc_info=ValueError(one)), held),
        st.builds(lambda one: lambda: raised(ValueError(one), lambda: library.exception("it failed")), held),
        st.builds(lambda one: lambda: raised(OSError(5, "M4RK", str(one)), lambda: ours.exception("failed")), held),
        st.builds(lambda one: lambda: ours.warning("refused", exc_info=ValueError(one)), held),
        st.builds(lambda one: lambda: ours.warning("refused", reason=one), held),
        st.builds(lambda one: lambda: logs_crash(ValueError(one)), held),
    )


def holders(text: str) -> list[Any]:
    """Objects of the libraries that we use, each with the value in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        uid = UID(text)
        ds = Dataset()
        ds.PatientName = text
    error = StatementError("it failed", "INSERT", {"name": text}, ValueError(text))
    named = type("Named", (), {"__repr__": lambda _: text, "__str__": lambda _: text})()
    request = httpx.Request("GET", "http://pacs/" + quote(text))
    return [ds, ds["PatientName"], ds.PatientName, ValueError(text), error, uid, text.encode(), named, request]


def logs_crash(error: Exception) -> None:
    """As Python does it when nobody caught `error`."""
    hook = sys.excepthook
    try:
        logs.report_crashes()
        sys.excepthook(type(error), error, None)
    finally:
        sys.excepthook = hook


def _written(style: str, way: Callable[[], None]) -> str:
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        logs.configure("debug", style)
        way()
    return stream.getvalue()


@pytest.mark.parametrize(("library", "level"), [("pydicom", "WARNING"), ("pynetdicom.acse", "ERROR")])
def test_libraries_that_speak_of_every_odd_value_are_quiet_at_any_level(
    capsys: pytest.CaptureFixture[str], library: str, level: str
) -> None:
    logs.configure("debug", "json")
    # As pydicom does when it is imported after this.
    logging.getLogger(library.partition(".")[0]).setLevel(logging.DEBUG)
    logging.getLogger(library).log(logging.getLevelNamesMapping()[level], "odd name %s", NAME)
    assert capsys.readouterr().err == ""


def test_a_warning_is_not_written_even_where_a_library_asks_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        logs.configure("debug", "json")
        warnings.simplefilter("always")
        warnings.warn(f"invalid value {NAME}", stacklevel=1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("place", ["main", "thread", "finaliser"])
def test_what_nobody_caught_is_a_line_without_its_text(place: str) -> None:
    script = f"""
import sys, threading
from ocunet_pacs import logs

def fail(*_):
    raise ValueError("{NAME}")

logs.report_crashes()
{"logs.configure()" if place != "main" else ""}
if "{place}" == "main":
    fail()
if "{place}" == "thread":
    threading.Thread(target=fail, name="loop-1").start()
else:
    type("Closing", (), {{"__del__": fail}})()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == (place == "main")
    assert NAME not in done.stderr
    line = json.loads(done.stderr)
    assert line["error"] == "ValueError"
    assert line["event"] == {"main": "crashed", "thread": "thread_crashed", "finaliser": "exception_ignored"}[place]
    assert any("fail" in frame for frame in line["trace"])


@pytest.mark.parametrize("to_the_journal", [True, False])
def test_the_journal_and_nothing_else_gets_a_priority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, to_the_journal: bool
) -> None:
    with (tmp_path / "stream").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + (not to_the_journal)}")
        monkeypatch.setattr(sys, "stderr", stream)
        logs.configure("info", "json")
        structlog.get_logger().error("role_died")
        structlog.get_logger().info("stopped")
        logging.getLogger("some.library").warning("odd")
        stream.seek(0)
        written = stream.read().splitlines()
    assert [line.partition("{")[0] for line in written] == (["<3>", "<6>", "<4>"] if to_the_journal else [""] * 3)
    assert [json.loads(line[line.index("{") :])["level"] for line in written] == ["error", "info", "warning"]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_study_is_named_by_its_uid_only_where_the_site_allows_it(
    capsys: pytest.CaptureFixture[str], *, allowed: bool
) -> None:
    logs.configure("info", "json", study_uids=allowed)
    structlog.get_logger().info("study_closed", study=logs.Study("1.2.3"))
    line = json.loads(capsys.readouterr().err)
    assert line["study"] == logs.study_digest("1.2.3")
    assert line.get("study_uid") == ("1.2.3" if allowed else None)


def test_a_study_appears_as_a_digest_that_is_stable_and_short() -> None:
    assert logs.study_digest("1.2.3") == logs.study_digest("1.2.3")
    assert logs.study_digest("1.2.3") != logs.study_digest("1.2.4")
    assert len(logs.study_digest("1.2.3")) == 12
