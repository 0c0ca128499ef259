"""A reload: told before anything is read, done once for each time it is asked for, and over with READY."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ocunet_pacs.app.process import StopFlag
from ocunet_pacs.app.reload import ReloadFlag, Reloading, TakenUp
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings import Settings, from_tree
from ocunet_pacs.settings.changing import Change
from tests.notices import Notices

BEFORE, AFTER = from_tree({}), from_tree({"logging": {"level": "debug"}, "store": {"path": "/srv/store"}})
STARTS = """
import os, sys, time
from ocunet_pacs.app.process import StopFlag, stop_on_signals
from ocunet_pacs.app.reload import Reloading, TakenUp, reload_on_signal
from ocunet_pacs.settings import from_tree
flag = reload_on_signal()
print("starting", flush=True)
sys.stdin.readline()
stop = stop_on_signals()
reloading = Reloading(from_tree({}), lambda: from_tree({}), "listen", flag, lambda _: None)
reloading.ready("receiving")
reloading.until(stop, lambda _change: TakenUp("receiving"))
"""


class Role:
    """A role whose settings file says `file`, and that is asked to stop after as many reloads as there are."""

    def __init__(self) -> None:
        self.flag, self.stop = ReloadFlag(), StopFlag()
        self.file: Settings | Exception = AFTER
        self.read = 0
        self.told: list[Settings] = []
        self.levels: list[str] = []
        self.reloading = Reloading(
            BEFORE, self._read, "listen", self.flag, lambda settings: self.levels.append(settings.logging.level)
        )

    def _read(self) -> Settings:
        self.read += 1
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def reload(self, take_up: Callable[[Change], TakenUp] = lambda _change: TakenUp("receiving by new rules")) -> None:
        self.flag.set()
        while self._is_asked():
            self.reloading.look(self.stop, take_up, changed=self.told.append)

    def _is_asked(self) -> bool:
        asked = self.flag.take()
        if asked:
            self.flag.set()
        return asked


@pytest.fixture
def role() -> Role:
    return Role()


@pytest.fixture
def notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notices]:
    ear = Notices(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(ear.path))
    yield ear
    ear.close()


def test_a_reload_is_told_when_it_began_by_the_clock_that_the_manager_uses(role: Role, notices: Notices) -> None:
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    role.reload()
    notices.hear_all()
    reloading, moment, name, *ready = notices.said
    assert (reloading, name) == ("RELOADING=1", "X_ROLE_RELOADING=listen")
    assert began <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ready[:2] == ["READY=1", "STATUS=receiving by new rules"]


def test_what_changed_is_in_force_logged_and_told(role: Role) -> None:
    with capture_logs() as logs:
        role.reload()
    assert role.reloading.settings == from_tree({"logging": {"level": "debug"}})
    assert role.levels == ["debug"]
    assert role.told == [AFTER]
    assert [(line["event"], line.get("changed", line.get("settings"))) for line in logs] == [
        ("reloaded", ["logging.level"]),
        ("reload_needs_restart", ["store.path"]),
    ]


def test_a_reload_that_finds_nothing_new_tells_the_audit_trail_nothing(role: Role) -> None:
    role.file = BEFORE
    role.reload()
    assert role.told == []


def test_one_that_is_asked_for_meanwhile_is_done_afterwards(role: Role, notices: Notices) -> None:
    def take_up(change: Change) -> TakenUp:
        if role.read == 1:
            role.file = from_tree({"logging": {"level": "error"}})
            role.flag.set()
            role.flag.set()
        return TakenUp("receiving")

    role.reload(take_up)
    assert (role.read, role.reloading.settings.logging.level) == (2, "error")
    cycle = ["RELOADING=1", "READY=1"]
    notices.hear_all()
    assert [line for line in notices.said if line in cycle] == cycle * 2


@pytest.mark.parametrize("error", [ConfigError(["dicom.port: no", "tls: no\neither"]), ZeroDivisionError("a value")])
def test_settings_that_cannot_be_used_leave_all_as_it_was(role: Role, notices: Notices, error: Exception) -> None:
    role.reloading.ready("receiving")
    role.file = error
    with capture_logs() as logs:
        role.reload()
    assert role.reloading.settings == BEFORE
    assert (role.levels, role.told) == ([], [])
    (line,) = logs
    assert line["log_level"] == "error"
    if isinstance(error, ConfigError):
        assert line["problems"] == ["dicom.port: no", "tls: no\neither"]
    notices.hear_all()
    assert any(said.startswith("STATUS=receiving; new settings refused: ") for said in notices.said)
    assert "a value" not in " ".join(notices.said)


def test_a_part_that_is_refused_is_said_and_not_in_force(role: Role, notices: Notices) -> None:
    def take_up(change: Change) -> TakenUp:
        return TakenUp("analysing", "new bundle refused", change.settings.model_copy(update={"model": BEFORE.model}))

    role.file = from_tree({"model": {"bundle": "/srv/other"}, "logging": {"level": "debug"}})
    role.reload(take_up)
    assert role.reloading.settings == from_tree({"logging": {"level": "debug"}})
    notices.hear_all()
    assert notices.said[-4:-1] == [
        "STATUS=analysing; new bundle refused",
        "X_ROLE_REFUSED=listen new bundle refused",
        "X_ROLE_READY=listen",
    ]


def test_after_a_stop_there_is_neither_a_reload_nor_ready(role: Role, notices: Notices) -> None:
    def take_up(_change: Change) -> TakenUp:
        role.stop.set()
        role.flag.set()
        return TakenUp("receiving")

    role.flag.set()
    role.reloading.until(role.stop, take_up)
    assert role.read == 1
    with_end = ["RELOADING=1", "X_ROLE_RELOADING=listen", "X_END=1"]
    with pytest.raises(AssertionError):  # it holds a time that nobody knows
        notices.wait_until_heard([])
    assert [line for line in notices.said if not line.startswith("MONOTONIC")] == with_end


def test_a_flag_that_nobody_looks_at_never_blocks_whoever_sets_it() -> None:
    flag = ReloadFlag()
    for _ in range(100_000):
        flag.set()
    assert flag.take()
    while flag.take():
        pass
    assert not flag.take()


def test_one_that_is_asked_for_while_the_role_starts_is_done_when_it_is_ready(notices: Notices) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.stdin.write(b"\n")
        process.stdin.flush()
        notices.wait_for("RELOADING=1", seconds=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert notices.said[0] == "READY=1"


def test_a_terminal_that_is_closed_ends_what_it_ran() -> None:
    ours, theirs = pty.openpty()
    takes_it = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    process = subprocess.Popen(
        [sys.executable, "-c", takes_it + STARTS], stdin=theirs, stdout=theirs, start_new_session=True
    )
    os.close(theirs)
    os.read(ours, 16)
    os.close(ours)
    # By the signal itself where its own handler for a stop was not there yet.
    assert process.wait(60) in {0, -signal.SIGTERM}
