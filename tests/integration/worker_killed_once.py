"""A worker of the decoding pool that is killed while it starts, as by a lack of memory: the first one only."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ocunet_pacs.imaging import pool_worker

if __name__ == "__main__":
    seen = Path(os.environ["KILLED_ONCE"])
    if not seen.exists():
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    pool_worker.main()
