"""What a process says to its service manager: when a stop is asked for, and whether its work goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocunet_pacs.app.process import Watchdog, watchdog_seconds
from tests.notices import Notices

BUSY = """
import time
from ocunet_pacs.app.process import announce_ready, stop_on_signals
stop = stop_on_signals()
announce_ready("work", "analysing")
while True:
    time.sleep(0.1)  # in the middle of something that cannot be put down
"""


@pytest.fixture
def notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notices]:
    ear = Notices(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(ear.path))
    yield ear
    ear.close()


def test_a_stop_is_told_when_it_is_asked_for_and_a_second_one_is_at_once(notices: Notices) -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        notices.wait_for("READY=1", seconds=60)
        assert notices.said[1:] == ["STATUS=analysing", "X_ROLE_READY=work"]
        process.send_signal(signal.SIGTERM)
        notices.wait_for("STOPPING=1", seconds=60)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait(10)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_dog_is_fed_once_a_second_at_most(notices: Notices) -> None:
    clock = Clock()
    watchdog = Watchdog("listen", monotonic=clock)
    for clock.now in (0.0, 0.5, 0.9, 1.0, 1.5):
        watchdog.beat()
    notices.wait_until_heard(2 * ["WATCHDOG=1", "X_ROLE_ALIVE=listen"])


def test_one_loop_of_several_that_hangs_is_noticed(notices: Notices) -> None:
    clock = Clock()
    watchdog = Watchdog("work", patience=10.0, monotonic=clock)
    watchdog.beat("0")
    for clock.now in (5.0, 10.0, 11.0, 60.0):
        watchdog.beat("1")
    watchdog.beat("0")
    # At 0, 5 and 10; at 11 and 60 the first loop had been silent too long; then it spoke again.
    notices.wait_until_heard(4 * ["WATCHDOG=1", "X_ROLE_ALIVE=work"])


def test_without_patience_one_loop_that_goes_on_is_enough(notices: Notices) -> None:
    clock = Clock()
    watchdog = Watchdog("deliver", monotonic=clock)
    watchdog.beat("0")
    clock.now = 1000.0
    watchdog.beat("1")
    notices.wait_until_heard(2 * ["WATCHDOG=1", "X_ROLE_ALIVE=deliver"])


@pytest.mark.parametrize(("said", "seconds"), [("600000000", 600.0), ("", None), ("soon", None)])
def test_the_service_manager_says_how_long_a_process_may_be_silent(
    said: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "WATCHDOG_USEC", said)
    assert watchdog_seconds() == seconds
