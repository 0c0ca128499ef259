"""From an empty host to results in the PACS, as docs/install.md says, typed by a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.host import needs_a_host


@pytest.mark.peers
@pytest.mark.timeout(600)
def test_the_page_leads_from_an_empty_host_to_results(built_wheel: Path) -> None:
    needs_a_host()
    command = [sys.executable, "-m", "tests.acceptance.new_administrator", "--wheel", str(built_wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert "| report and heatmaps in Orthanc |" in done.stdout
    assert "| doctor finds nothing |" in done.stdout
