"""The listener stays small: it never loads what only the worker needs."""

from __future__ import annotations

import subprocess
import sys


def test_the_listener_loads_what_it_needs_and_no_more() -> None:
    program = (
        "import sys, ocunet_pacs.intake.scp, ocunet_pacs.imaging.header, ocunet_pacs.store.files\n"
        "sys.exit(','.join(sorted({'torch', 'timm', 'cv2', 'highdicom'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (0, "")
