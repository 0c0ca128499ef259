"""A release with a research bundle, on a machine that has nothing else: the wheel carries it, and commands take it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.model.bundle import write_bundle
from ocunet_pacs.model.research import FOLDER
from tests.conftest import PROJECT
from tests.unit.model.conftest import LABELS, lively_network, manifest
from tests.wheel import build_wheel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
SOURCES = ("ocunet_pacs", "training", "migrations", "config", "systemd")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel with a (small) research bundle holds, unpacked."""
    project = tmp_path_factory.mktemp("project")
    for name in SOURCES:
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", FOLDER.name))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, project)
    write_bundle(
        project / FOLDER.relative_to(PROJECT),
        lively_network(len(LABELS)).state_dict(),
        manifest(name="research bundle", research=True, quality=QualityLimits().to_dict()),
        prepare=False,
        half=True,
    )
    installed = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"), project)) as wheel:
        wheel.extractall(installed)
    return installed


def command(released: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    bare = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "OCUNET"))}
    done = subprocess.run(
        [sys.executable, "-m", "ocunet_pacs", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=bare | {"PYTHONPATH": str(released)},
    )
    assert done.returncode == 0, done.stderr
    return done


def test_predict_takes_it_and_report_and_heatmap_say_so(released: Path, tmp_path: Path) -> None:
    drawn = draw_fundus(seed=3, laterality=Laterality.LEFT, size=(640, 480))
    Image.fromarray(drawn).save(tmp_path / "eye.jpg", quality=92)
    done = command(released, tmp_path, "predict", "eye.jpg", "--json", "--out", "out")
    assert "bundle research bundle is for research only; it has no opinion on ARMD, MH" in done.stderr
    [said] = json.loads(done.stdout)
    assert said["eligible"]
    assert said["bundle"]["name"] == "research bundle"
    assert said["bundle"]["research"] is True
    [page] = (tmp_path / "out").glob("*/report.html")
    words = " ".join(page.read_text().split())
    assert "RESEARCH BUNDLE: its weights were learned from public photographs" in words
    assert "This model has no opinion on: Age-related macular degeneration" in words


def test_the_demo_takes_it_and_says_what_drawn_eyes_are_worth(released: Path, tmp_path: Path) -> None:
    done = command(released, tmp_path, "demo")
    assert "what it says of drawn eyes means nothing" in " ".join(done.stderr.split())
    assert "RESEARCH BUNDLE" in done.stdout
    assert "UNTRAINED" not in done.stdout
