"""The command line as users and scripts meet it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydicom import dcmread

from ocunet_pacs import __version__
from tests.daemon import cli

COMMANDS = (
    "serve listen work deliver demo wrap predict validate reprocess model jobs backfill status doctor db config echo "
    "model,import model,show model,verify jobs,list jobs,show jobs,retry jobs,discard db,upgrade db,check db,backup "
    "db,integrity config,init config,check backfill,list backfill,status shadow shadow,run shadow,report install"
).split()


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    from PIL import Image

    from ocunet_pacs.domain.study import Laterality
    from ocunet_pacs.imaging.drawn import draw_fundus

    path = tmp_path / "eye.jpg"
    Image.fromarray(draw_fundus(seed=1, laterality=Laterality.LEFT, size=(320, 240))).save(path)
    return path


def test_every_documented_command_has_help() -> None:
    import typer.testing

    from ocunet_pacs.cli.main import app

    runner = typer.testing.CliRunner()
    for command in COMMANDS:
        result = runner.invoke(app, [*command.split(","), "--help"])
        assert result.exit_code == 0, (command, result.output)
        assert len(result.output) > 100


def test_version() -> None:
    assert cli("--version").stdout.strip() == f"ocunet-pacs {__version__}"


def test_config_init_writes_a_file_that_config_check_accepts_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    cli("config", "init", path)
    assert "valid" in cli("config", "check", "--config", path).stdout
    before = path.read_text()
    again = cli("config", "init", path, check=False)
    assert again.returncode == 2
    assert path.read_text() == before


def test_mistakes_in_the_settings_are_listed_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("dicom: {port: x}\nassembly: {quiet_period: soon}\n")
    done = cli("config", "check", "--config", path, check=False)
    assert done.returncode == 2
    assert "dicom.port" in done.stderr
    assert "assembly.quiet_period" in done.stderr
    assert "Traceback" not in done.stderr


def test_echo_of_nobody_ends_with_status_1_and_of_an_unknown_name_with_2(tmp_path: Path) -> None:
    from tests.dcmtk import free_port

    path = tmp_path / "site.yaml"
    nobody = {"name": "pacs", "ae_title": "A", "host": "127.0.0.1", "port": free_port(), "timeout": "2s"}
    path.write_text(yaml.safe_dump({"destinations": [nobody]}))
    assert cli("echo", "pacs", "--config", path, check=False).returncode == 1
    unknown = cli("echo", "archive", "--config", path, check=False)
    assert unknown.returncode == 2
    assert "known: pacs" in unknown.stderr


def test_wrap_makes_one_study_of_all_photographs_and_keeps_their_streams(photograph: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--laterality", "L", "--patient-id", "4711", "--patient-name", "Müller^Jürgen")
    done = cli("wrap", photograph, photograph, "--out", out, *options)
    written = [Path(line) for line in done.stdout.splitlines()]
    first, second = map(dcmread, written)
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.ImageLaterality == "L"
    assert first.PatientID == "4711"
    assert str(first.PatientName) == "Müller^Jürgen"
    assert photograph.read_bytes() in written[0].read_bytes()


def test_wrap_keeps_to_the_study_that_it_is_given(photograph: Path, tmp_path: Path) -> None:
    done = cli("wrap", photograph, "--out", tmp_path / "out", "--study-uid", "1.2.3.4")
    assert dcmread(done.stdout.strip()).StudyInstanceUID == "1.2.3.4"
    refused = cli("wrap", photograph, "--out", tmp_path / "out", "--study-uid", "1.2.x", check=False)
    assert refused.returncode == 2


def test_wrap_names_what_it_cannot_wrap_and_wraps_the_rest(photograph: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photograph.read_bytes()[:200])
    done = cli("wrap", broken, photograph, tmp_path / "absent.jpg", "--out", tmp_path / "out", check=False)
    assert done.returncode == 2
    assert "broken.jpg" in done.stderr
    assert "absent.jpg" in done.stderr
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 1


def test_predict_without_settings_or_bundle_says_what_to_give(photograph: Path, tmp_path: Path) -> None:
    done = cli("predict", photograph, "--bundle", tmp_path / "none", check=False)
    assert done.returncode == 2
    assert "none" in done.stderr
    assert "Traceback" not in done.stderr
