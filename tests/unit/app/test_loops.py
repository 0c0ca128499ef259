"""The end of a process whose device hangs: soon, but not before its loops said why their jobs failed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from ocunet_pacs.app.loops import EXIT_HUNG

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
