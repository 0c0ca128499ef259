"""`install` in a scratch root: everything in its place, once; what the site has changed stays."""

from __future__ import annotations

from pathlib import Path
from stat import S_IMODE

import pytest
from typer.testing import CliRunner, Result

from ocunet_pacs.cli.main import app
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings import load

UNITS = "usr/local/lib/systemd/system"
CONFIG = "etc/ocunet-pacs/ocunet-pacs.yaml"


def install(root: Path, *options: str) -> Result:
    result = CliRunner().invoke(app, ["install", "--root", str(root), *options])
    if isinstance(result.exception, ConfigError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def tree(root: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path.relative_to(root)): (S_IMODE(path.stat().st_mode), None if path.is_dir() else path.read_bytes())
        for path in root.rglob("*")
    }


def test_everything_is_in_its_place(tmp_path: Path) -> None:
    said = install(tmp_path).output
    there = tree(tmp_path)
    for path in (
        *(f"{UNITS}/ocunet-pacs{rest}" for rest in (".service", ".target", "-worker@.service", "-migrate.service")),
        *("usr/local/lib/sysusers.d/ocunet-pacs.conf", "usr/local/lib/tmpfiles.d/ocunet-pacs.conf"),
    ):
        assert there[path][0] == 0o644
        assert f"made       /{path}" in said
    assert there[CONFIG][0] == 0o640
    assert there["etc/ocunet-pacs"][0] == 0o750
    assert there["var/lib/ocunet-pacs"][0] == there["var/lib/ocunet-pacs/bundles"][0] == 0o700
    load(tmp_path / CONFIG, {})
    assert "systemd-sysusers" in said.partition("next:")[2]


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    install(tmp_path)
    before = tree(tmp_path)
    said = install(tmp_path).output
    assert tree(tmp_path) == before
    assert "made" not in said
    assert "everything was there already" in said


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    would = install(tmp_path, "--dry-run").stdout
    assert tree(tmp_path) == {}
    did = install(tmp_path).stdout
    assert would.partition("nothing was written")[0] == did.partition("next:")[0]


def test_a_changed_settings_file_stays_and_the_new_sample_lies_beside_it(tmp_path: Path) -> None:
    install(tmp_path)
    sample = (tmp_path / CONFIG).read_text()
    (tmp_path / CONFIG).write_text("dicom: {port: 104}\n")
    (tmp_path / CONFIG).with_suffix(".yaml.sample").write_text("an older release's\n")
    said = install(tmp_path).output
    assert (tmp_path / CONFIG).read_text() == "dicom: {port: 104}\n"
    assert (tmp_path / CONFIG).with_suffix(".yaml.sample").read_text() == sample
    assert f"kept       /{CONFIG}\n" in said


def test_a_unit_of_an_older_release_is_replaced(tmp_path: Path) -> None:
    install(tmp_path)
    unit = tmp_path / UNITS / "ocunet-pacs.service"
    text = unit.read_text()
    unit.write_text("[Unit]\nDescription=older\n")
    assert f"updated    /{UNITS}/ocunet-pacs.service\n" in install(tmp_path).output
    assert unit.read_text() == text


def test_a_file_that_hides_a_unit_is_pointed_out(tmp_path: Path) -> None:
    old = tmp_path / "etc/systemd/system/ocunet-pacs.service"
    old.parent.mkdir(parents=True)
    old.write_text("[Service]\n")
    assert "/etc/systemd/system/ocunet-pacs.service hides" in install(tmp_path).output
    assert old.read_text() == "[Service]\n"


def test_units_start_the_program_of_the_prefix(tmp_path: Path) -> None:
    said = install(tmp_path, "--prefix", "/srv/eyes").output
    for unit in (tmp_path / UNITS).glob("*.service"):
        starts = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
        assert [line.split()[0] for line in starts] == ["ExecStart=/srv/eyes/bin/ocunet-pacs"]
    assert "/srv/eyes/bin/ocunet-pacs, which the units start, is not there" in said


@pytest.mark.parametrize("prefix", ["opt/eyes", "/opt/my eyes", "/opt/%i", "/opt/../etc", "/"])
def test_a_prefix_that_no_unit_can_name_is_refused(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--prefix"):
        install(tmp_path, "--prefix", prefix)
    assert tree(tmp_path) == {}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "usr").write_text("a file")
    with pytest.raises(ConfigError, match=r"usr/local/lib.*cannot be written"):
        install(tmp_path)
