"""Housekeeping on a clock that is put back while it works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.daemon import CLEAN_ENVIRONMENT
from tests.soak.clock import Clock

TICKING = """
import sys, time
from datetime import timedelta
from ocunet_pacs.app.housekeeping import Housekeeping

class Queue:
    def reap(self, now, is_gone):
        print("tick", time.time(), flush=True)
        return 0

import ocunet_pacs.app.housekeeping as module
module.REAP_EVERY = timedelta(seconds=0.2)
housekeeping = Housekeeping()
housekeeping.reap(Queue())
housekeeping.start()
sys.stdin.read()
housekeeping.stop()
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler to move a process's clock with")
def test_tasks_go_on_when_the_clock_is_put_back_by_an_hour() -> None:
    """APScheduler waits for times of day: without our watch it would close no study for an hour."""
    clock = Clock()
    environment = {**CLEAN_ENVIRONMENT, **clock.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", TICKING],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said: list[str] = []

        def tick() -> float:
            while not said or not said[-1].startswith("tick "):
                said.append(process.stdout.readline())
                assert said[-1], "it ended"
            return float(said.pop().split()[1])

        try:
            before = [tick() for _ in range(3)][-1]
            clock.move(-3600)
            while tick() > before - 1800:
                pass  # from before the jump
            tick()
        finally:
            rest, _ = process.communicate("")
    assert "clock_put_back" in "".join(said) + rest
    assert process.returncode == 0
    clock.close()
