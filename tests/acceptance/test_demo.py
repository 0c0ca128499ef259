"""`make demo`, the first thing that anybody tries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, program


@pytest.mark.timeout(300)
def test_make_demo(tmp_path: Path) -> None:
    """In a folder of its own, with this environment in the place of the one that it would make."""
    make = [program("make"), "--file", str(PROJECT / "Makefile"), f"VENV={sys.prefix}"]
    make += ["--old-file", f"{sys.prefix}/.ready-run", "demo"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OCUNET_PACS")}
    done = subprocess.run(make, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Suggested urgency of review" in done.stdout
    assert len(list((tmp_path / "demo-out").rglob("*.dcm"))) >= 3, "a report and heatmaps"
