"""What the thread that waits for the loops does: end the process of a hung device, keep the heap small."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.app.loops import EXIT_HUNG
from tests.heap import WITH_MALLOC

if TYPE_CHECKING:
    from pathlib import Path

HUNG = """
import sys, threading, time
from pathlib import Path
from ocunet_pacs.app.loops import attend
from ocunet_pacs.metrics import Metrics

def record():
    time.sleep(0.3)
    Path(sys.argv[1]).touch()

hanging = threading.Thread(target=time.sleep, args=(3600,), daemon=True)
recording = threading.Thread(target=record, daemon=True)
for thread in (hanging, recording):
    thread.start()
attend([hanging, recording], lambda: True, Metrics(), "work")
"""


def test_a_process_whose_device_hangs_ends_after_its_loops_had_their_say(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded"
    done = subprocess.run([sys.executable, "-c", HUNG, str(recorded)], check=False, timeout=60)
    assert done.returncode == EXIT_HUNG
    assert recorded.exists()


FRAGMENTS = """
import threading
from ocunet_pacs.app import loops
from ocunet_pacs.imaging.allocator import share_one_heap
from ocunet_pacs.metrics import Metrics

share_one_heap()
parts = [c.malloc(1 << 16) for _ in range(2000)]
for part in parts:
    ctypes.memset(part, 1, 1 << 16)
for number, part in enumerate(parts):
    if number % 20:
        c.free(part)
held = resident()
loops.GIVE_BACK_SECONDS = 0.2
ended = threading.Event()
thread = threading.Thread(target=ended.wait)
thread.start()
threading.Timer(1.0, ended.set).start()
loops.attend([thread], lambda: False, Metrics(), "work")
print(held - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_worker_gives_back_what_is_free_between_pieces_in_use() -> None:
    """A heap with one piece in twenty in use, as a bundle leaves it that was swapped under load."""
    said = subprocess.run(
        [sys.executable, "-c", WITH_MALLOC + FRAGMENTS], check=True, capture_output=True, text=True, timeout=60
    )
    assert int(said.stdout) > 60, "MiB of the 118 that are free"
