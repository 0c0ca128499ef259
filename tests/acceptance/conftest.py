"""A bundle, photographs and a PACS for the acceptance runs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.study import Laterality
from tests.daemon import cli

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture(scope="session")
def untrained_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's bundle: deterministic weights, a few positive labels an eye."""
    from datetime import UTC, datetime

    from ocunet_pacs.model.untrained import write_untrained_bundle  # torch takes seconds

    folder = tmp_path_factory.mktemp("bundles") / "untrained"
    write_untrained_bundle(folder, datetime(2026, 1, 1, tzinfo=UTC))
    return folder


@pytest.fixture(scope="session")
def reference_bundle(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OcuNet's layout with deterministic weights, through the command that a data scientist uses."""
    folder = tmp_path_factory.mktemp("reference")
    checkpoint, calibration = folder / "ocunet.pth", folder / "calibration.yaml"
    subprocess.run([sys.executable, str(shared / "reference" / "make_checkpoint.py"), str(checkpoint)], check=True)
    calibration.write_text("temperature: 1.1926\n")
    cli("model", "import", checkpoint, "--out", folder / "bundle", "--calibration", calibration)
    return folder / "bundle"


@pytest.fixture(scope="session")
def drawn_photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six drawn eyes as JPEG files, right and left in turn."""
    from PIL import Image

    from ocunet_pacs.imaging.drawn import draw_fundus

    folder = tmp_path_factory.mktemp("drawn")
    paths = []
    for seed in range(6):
        laterality = Laterality.LEFT if seed % 2 else Laterality.RIGHT
        path = folder / f"eye-{seed}.jpg"
        Image.fromarray(draw_fundus(seed=seed, laterality=laterality, size=(640, 480))).save(path, quality=92)
        paths.append(path)
    return paths


def wrap_study(photographs: Sequence[Path], out: Path, *, patient: str = "P1") -> list[Path]:
    """DICOM files of one study through the command line."""
    done = cli(
        *("wrap", *photographs, "--out", out, "--laterality", "R"),
        *("--patient-id", patient, "--patient-name", f"Marked^{patient}"),
    )
    from pathlib import Path as File

    return [File(line) for line in done.stdout.splitlines()]
