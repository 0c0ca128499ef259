"""The web and the watched folder as roles of the daemon: real processes, killed when it matters, on to the report."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import yaml
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from tests.acceptance.conftest import wrap_study
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import free_port
from tests.integration.ledgers import FileLedger
from tests.integration.objects import photograph, write
from tests.integration.web import HOST, MULTIPART, TOKEN, multipart

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]
PATTERN = r"(?P<patient_id>[^_]+)_(?P<laterality>[RL])_(?P<date>\d{8})(_\d+)?"


def with_feeders(daemon: Daemon, folder: Path, settle: str = "300ms") -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    tree: dict[str, Any] = yaml.safe_load(daemon.config.read_text())
    tree["watch"] = [{"name": "export", "path": str(folder), "pattern": PATTERN, "settle": settle}]
    tree["stow"] = {"enabled": True, "port": free_port(), "token": TOKEN}
    daemon.config.write_text(yaml.safe_dump(tree))
    return tree


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_serve_takes_in_over_the_web_and_from_a_folder(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path / "site", untrained_bundle, [])
    folder = tmp_path / "export"
    tree = with_feeders(daemon, folder)
    daemon.start()
    try:
        daemon.wait_for_listener()
        url = f"http://{HOST}:{tree['stow']['port']}/dicom-web/studies"

        def answers() -> bool:
            try:
                return httpx.get(url).status_code == 401
            except httpx.TransportError:
                return False

        wait_until(answers, "STOW-RS to answer")
        files = wrap_study(drawn_photographs[:2], tmp_path / "study")
        body = multipart(*(path.read_bytes() for path in files))
        headers = {"Content-Type": MULTIPART, "Authorization": f"Bearer {TOKEN}"}
        assert httpx.post(url, content=body, headers=headers, timeout=60).status_code == 200
        (folder / "P9_R_20260301.jpg").write_bytes(drawn_photographs[2].read_bytes())
        wait_until(lambda: names(folder / "done") == {"P9_R_20260301.jpg"}, "the picture to be taken in")
        daemon.wait_until_idle(2)
        assert TOKEN not in daemon.log_text()
        assert "P9_R" not in daemon.log_text()
    finally:
        assert daemon.stop() == [0]


@pytest.fixture
def role(untrained_bundle: Path, tmp_path: Path) -> tuple[Daemon, Path]:
    daemon = Daemon(tmp_path / "site", untrained_bundle, [])
    with_feeders(daemon, tmp_path / "export")
    cli("db", "upgrade", "--config", daemon.config)
    return daemon, tmp_path / "export"


def test_pictures_are_taken_in_once_whenever_the_role_is_killed(role: tuple[Daemon, Path], tmp_path: Path) -> None:
    daemon, folder = role
    content = {}
    for number in range(60):
        if number % 2:
            path = write(photograph(), folder / f"object-{number}.dcm")
        else:
            path = folder / f"P{number}_R_20260301.png"
            Image.fromarray(draw_fundus(seed=number, laterality=Laterality.RIGHT, size=(200, 150))).save(path)
        content[path.name] = path.read_bytes()
    luck = random.Random(1)
    for _ in range(6):
        daemon.start("watch")
        before, deadline = len(names(folder / "done")), time.monotonic() + 90
        while len(names(folder / "done")) == before:
            assert time.monotonic() < deadline, daemon.log_text()[-2000:]
            time.sleep(0.001)
        time.sleep(luck.random() * 0.05)  # anywhere in the next file
        daemon.kill()
    assert names(folder / "done") != set(content)
    daemon.start("watch")
    try:
        wait_until(lambda: names(folder / "done") == set(content), "everything to be taken in")
    finally:
        assert daemon.stop() == [0]
    assert {path.name: path.read_bytes() for path in (folder / "done").iterdir()} == content
    assert names(folder) == {"done", "refused"}
    assert not names(folder / "refused")
    ledger = FileLedger(Path(daemon.database.removeprefix("sqlite:///")))
    rows = ledger.rows()
    ledger.close()
    assert len(rows) == len({row["sop_instance_uid"] for row in rows}) == 60
    store = tmp_path / "site" / "store"
    for row in rows:
        assert pydicom.dcmread(store / row["file_key"]).SOPInstanceUID == row["sop_instance_uid"]


def test_roles_without_their_settings_do_not_start(untrained_bundle: Path, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "site", untrained_bundle, [])
    cli("db", "upgrade", "--config", daemon.config)
    for name in ("stow", "watch"):
        done = cli(name, "--config", daemon.config, check=False)
        assert done.returncode == 2
        assert f"{name}" in done.stderr.splitlines()[-1]
