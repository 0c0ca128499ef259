"""A photograph that kills the process which decodes it, or never ends, costs only itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from training.data.processes import in_processes


def _deadly_for_some(number: int) -> int:
    if number in {2, 3}:
        os._exit(11)
    if number == 5:
        time.sleep(60)
    return number * number


def test_what_kills_or_keeps_its_process_is_given_up_and_nothing_else_is() -> None:
    made = list(in_processes(_deadly_for_some, range(8), workers=1, given_up=lambda job: -job, patience_s=1))
    assert made == [0, 1, -2, -3, 16, -5, 36, 49]


def test_nothing_to_do_is_nothing_done() -> None:
    assert list(in_processes(_deadly_for_some, [], workers=1, given_up=lambda job: -job)) == []


def test_processes_do_not_outlive_the_one_that_started_them() -> None:
    script = (
        "import os, time\n"
        "from training.data.processes import in_processes\n"
        "if __name__ == '__main__':\n"
        "    for process in in_processes(os.waitstatus_to_exitcode, [0, 0], workers=1, given_up=int):\n"
        "        import multiprocessing\n"
        "        print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "        time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _lives(worker):
        assert time.monotonic() < deadline, "the worker is still there"
        time.sleep(0.05)


def _lives(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
