"""Store and watched folders, with what goes wrong with folders."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ocunet_pacs.app.doctor_checks import Level
from ocunet_pacs.app.doctor_folders import (
    Room,
    judge_owner,
    judge_parts,
    judge_room,
    look_at_store,
    look_at_watched,
)
from ocunet_pacs.settings import Settings, from_tree
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
GIB = 2**30


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder to which every user finds the way."""
    folder = Path(tempfile.mkdtemp(prefix="doctor-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user whom rights bind: root is bound by none."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def settings(store: Path, **more: Any) -> Settings:
    return from_tree({"store": {"path": str(store), "min_free": "1 B"}, "retention": {"keep_free": "1 B"}} | more)


def test_a_store_that_is_well_is_left_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "store"
    Files(root)
    before = sorted(root.rglob("*"))
    found = look_at_store(settings(root))
    assert found.level is Level.OK
    assert "GiB free" in found.found
    assert sorted(root.rglob("*")) == before


def test_a_store_that_is_not_there_yet_is_made_by_the_daemon_and_not_by_us(tmp_path: Path) -> None:
    found = look_at_store(settings(tmp_path / "a" / "store"))
    assert found.level is Level.OK
    assert "not there yet" in found.found
    assert list(tmp_path.iterdir()) == []


def test_a_store_for_which_there_is_no_right_to_write(open_folder: Path) -> None:
    root = open_folder / "store"
    root.mkdir(mode=0o755)
    root.chmod(0o555)
    with without_rights():
        written, missing = look_at_store(settings(root)), look_at_store(settings(root / "deeper"))
    assert written.level is Level.FAULT
    assert "cannot be written to: Permission denied" in written.found
    assert "daemon's user" in written.remedy
    assert missing.level is Level.FAULT
    assert f"{root} may not be written to" in missing.found


def test_a_store_that_others_may_look_into(tmp_path: Path) -> None:
    root = tmp_path / "store"
    Files(root)
    root.chmod(0o750)
    found = look_at_store(settings(root))
    assert (found.level, found.remedy) == (Level.WARNING, f"chmod 700 {root}")


def test_a_full_disk(tmp_path: Path) -> None:
    Files(tmp_path / "store")
    full = from_tree({"store": {"path": str(tmp_path / "store"), "min_free": "8000000 TiB"}})
    found = look_at_store(full)
    assert found.level is Level.FAULT
    assert "C-STORE answers 0xA700" in found.found


@pytest.mark.parametrize(
    ("room", "level"),
    [
        (Room(3 * GIB, GIB, 2 * GIB), Level.OK),
        (Room(2 * GIB, GIB, 2 * GIB), Level.OK),
        (Room(2 * GIB - 1, GIB, 2 * GIB), Level.WARNING),
        (Room(GIB, GIB, 2 * GIB), Level.WARNING),
        (Room(GIB - 1, GIB, 2 * GIB), Level.FAULT),
    ],
)
def test_room(room: Room, level: Level) -> None:
    assert judge_room(room).level is level


def test_a_part_of_the_store_on_another_disk() -> None:
    root = Path("/srv/store")
    assert judge_parts(root, {"incoming": 1, "instances": 1}).level is Level.OK
    found = judge_parts(root, {"incoming": 1, "instances": 2})
    assert found.level is Level.FAULT
    assert "incoming, instances" in found.found


def test_whoever_is_not_the_owner_is_told_to_be() -> None:
    assert judge_owner(Path("/srv"), 1000, 1000).level is Level.OK
    found = judge_owner(Path("/srv"), 4711, 4712)
    assert found.level is Level.WARNING
    assert "user 4711" in found.found


def test_watched_folders(open_folder: Path) -> None:
    export = open_folder / "export"
    gone = look_at_watched(export)
    assert gone.level is Level.FAULT
    assert "No such file or directory" in gone.found
    (export / "done").mkdir(parents=True)
    (export / "MARKED^PATIENT.jpg").write_bytes(b"")
    well = look_at_watched(export)
    assert (well.level, "1 files in it" in well.found) == (Level.OK, True)
    assert "MARKED" not in well.found
    (export / "done").chmod(0o555)
    with without_rights():
        found = look_at_watched(export)
    assert found.level is Level.FAULT
    assert "done cannot be written to" in found.found
