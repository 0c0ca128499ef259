"""What a process loads: the listener must stay small, and the contracts of pyproject.toml must hold."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import PROJECT


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("ocunet_pacs.app.listen", ("torch", "timm", "cv2", "highdicom")),
        ("ocunet_pacs.app.stow", ("torch", "timm", "cv2", "highdicom")),
        ("ocunet_pacs.app.watch", ("torch", "timm", "cv2", "highdicom", "starlette")),
        ("ocunet_pacs.app.console", ("torch", "timm", "highdicom", "pynetdicom")),
        ("ocunet_pacs.app.serve", ("torch", "timm", "highdicom", "pynetdicom")),
        ("ocunet_pacs.app.work", ("torch", "timm")),
        ("ocunet_pacs.cli.main", ("torch", "cv2", "highdicom", "pynetdicom", "sqlalchemy", "pydicom")),
        ("ocunet_pacs.app.shadow_report", ("torch", "timm", "highdicom", "pynetdicom")),
        ("ocunet_pacs.app.status", ("torch", "timm", "highdicom")),
        ("ocunet_pacs.model.predictor", ("torch", "timm", "pynetdicom", "sqlalchemy", "highdicom")),
    ],
)
def test_a_process_does_not_load_what_it_does_not_need(module: str, absent: tuple[str, ...]) -> None:
    script = f"import sys, {module}; print(*sorted(set(sys.modules) & set({absent!r})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_imports_point_one_way() -> None:
    lint = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", lint], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 0, done.stdout
