from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from ocunet_pacs.cli.model import app
from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.bundle import write_bundle
from ocunet_pacs.model.manifest import read_manifest
from tests.unit.model.conftest import manifest
from tests.unit.model.test_checkpoint import NAMES, checkpoint, save

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.model.network import OcuNet


def test_import_then_show_then_verify(tmp_path: Path) -> None:
    source, out = save(tmp_path / "c.pth", checkpoint(NAMES[:4])), tmp_path / "bundle"
    calibration = tmp_path / "calibration.yaml"
    calibration.write_text("temperature: 1.5\nthresholds: {Disease_Risk: 0.3, DR: 0.6, ARMD: 0.9, MH: 0.85}")
    arguments = ["import", str(source), "--out", str(out), "--calibration", str(calibration), "--name", "mine"]
    made = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert made.exit_code == 0
    assert "mine, trained, calibrated" in made.output
    digest = read_manifest(out).digest
    shown = CliRunner().invoke(app, ["show", str(out)], catch_exceptions=False, env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for part in ("mine", digest, "trained", "0.850", "Media haze", "1.5", "74"):
        assert part in shown.output, part
    assert "UNTRAINED" not in shown.output
    as_json = CliRunner().invoke(app, ["show", str(out), "--json"], catch_exceptions=False)
    assert json.loads(as_json.stdout)["bundle_sha256"] == digest
    verified = CliRunner().invoke(app, ["verify", str(out)], catch_exceptions=False)
    assert digest in verified.output


def test_operating_points_are_imported_and_shown(tmp_path: Path) -> None:
    source, out = save(tmp_path / "c.pth", checkpoint(NAMES[:2])), tmp_path / "bundle"
    (tmp_path / "s.yaml").write_text("{Disease_Risk: 0.111, DR: {threshold: 0.222}}")
    command = ["import", str(source), "--out", str(out)]
    point = f"screening={tmp_path / 's.yaml'}"
    made = CliRunner().invoke(app, [*command, "--operating-point", point], catch_exceptions=False)
    assert made.exit_code == 0
    assert read_manifest(out).operating_points == {"screening": {"Disease_Risk": 0.111, "DR": 0.222}}
    shown = CliRunner().invoke(app, ["show", str(out)], catch_exceptions=False, env={"COLUMNS": "200"})
    for part in ("default, screening", "0.111", "0.222", "GLAUCOMA"):
        assert part in shown.output, part
    digest = read_manifest(out).digest
    prepared = CliRunner().invoke(app, ["prepare", str(out)], catch_exceptions=False)
    assert digest in prepared.output
    for bad in (["screening"], ["=x"], [point, point]):
        options = [argument for value in bad for argument in ("--operating-point", value)]
        assert CliRunner().invoke(app, [*command, *options]).exit_code == 2


def test_untrained_is_shouted(tmp_path: Path, network: OcuNet) -> None:
    write_bundle(tmp_path / "u", network.state_dict(), manifest(trained=False, calibrated=False))
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "u")], catch_exceptions=False)
    assert "UNTRAINED" in shown.output
    marked = CliRunner().invoke(
        app,
        ["import", str(save(tmp_path / "c.pth", checkpoint(NAMES[:2]))), "--out", str(tmp_path / "v"), "--untrained"],
        catch_exceptions=False,
    )
    assert "UNTRAINED, NOT CALIBRATED" in marked.output
    assert not read_manifest(tmp_path / "v").trained


def test_a_damaged_bundle_ends_in_the_projects_own_error(bundle: Path) -> None:
    (bundle / "model.safetensors").write_bytes(b"")
    outcome = CliRunner().invoke(app, ["verify", str(bundle)])
    assert isinstance(outcome.exception, BundleError)


def test_the_command_tree_loads_no_torch() -> None:
    program = "import sys, ocunet_pacs.cli.model; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
