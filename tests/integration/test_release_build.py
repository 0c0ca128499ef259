"""A release is the same bytes wherever and whenever its commit is built, and holds the commit and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import PROJECT, program
from tests.release.building import NotBuilt, build


def git(folder: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "T", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "T", "GIT_COMMITTER_EMAIL": "t@t"}
    command = [program("git"), *arguments]
    environment = {**os.environ, **who}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=folder, env=environment
    ).stdout.strip()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit: the working tree's files as they are now."""
    folder = tmp_path_factory.mktemp("commit") / "checkout"
    for name in git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (PROJECT / name).is_file():  # not a link to the peers, nor a file that was removed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "-c", "commit.gpgsign=false", "commit", "--quiet", "--message", "All")
    return folder


def elsewhere(checkout: Path, folder: Path, *, umask: int, zone: str) -> dict[str, str]:
    """Clone the commit and build it as another person would; name and digest of each file."""
    folder.mkdir(parents=True)
    old = os.umask(umask)
    try:
        git(folder, "clone", "--quiet", str(checkout), "clone")
        command = [sys.executable, "-m", "tests.release", "build", "--out", str(folder / "out")]
        environment = {**os.environ, "TZ": zone, "PYTHONPATH": ""}
        subprocess.run(command, check=True, capture_output=True, cwd=folder / "clone", env=environment)
    finally:
        os.umask(old)
    files = [path for path in (folder / "out").iterdir() if path.name != "SHA256SUMS"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("first") / "here"
    return folder / "out", elsewhere(checkout, folder, umask=0o022, zone="UTC")


def test_two_builds_of_a_commit_are_the_same_bytes(
    checkout: Path, built: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    again = elsewhere(checkout, tmp_path / "a longer way" / "down", umask=0o077, zone="Asia/Tokyo")
    assert again == built[1]
    assert {Path(name).suffix for name in again} == {".whl", ".gz"}


def test_the_digests_beside_the_files_are_theirs(built: tuple[Path, dict[str, str]]) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], check=True, cwd=built[0], capture_output=True)
    assert len((built[0] / "SHA256SUMS").read_text().splitlines()) == 2


def test_every_time_in_the_archives_is_the_commits(checkout: Path, built: tuple[Path, dict[str, str]]) -> None:
    committed = int(git(checkout, "log", "-1", "--format=%ct"))
    (source,) = built[0].glob("*.tar.gz")
    with tarfile.open(source) as archive:
        members = archive.getmembers()
        assert {member.mtime for member in members} == {committed}
        assert {(member.uid, member.gid, member.uname) for member in members} == {(0, 0, "")}
    (wheel,) = built[0].glob("*.whl")
    with zipfile.ZipFile(wheel) as zipped:
        assert len({entry.date_time for entry in zipped.infolist()}) == 1


def test_the_wheel_of_the_source_archive_is_the_wheel(built: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """Whoever distrusts the wheel builds it from the source, without git."""
    (source,) = built[0].glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
        epoch = str(int(archive.getmembers()[0].mtime))
    (folder,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "out"), "."]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch, "PYTHONPATH": ""}
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
    (wheel,) = (tmp_path / "out").iterdir()
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == built[1][wheel.name]


def test_what_is_not_in_the_commit_is_not_built(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(checkout), "clone")
    (tmp_path / "clone" / "ocunet_pacs" / "forgotten.py").write_text("left = 1\n")
    files = build(tmp_path / "clone", tmp_path / "out")
    (wheel,) = [path for path in files if path.suffix == ".whl"]
    with zipfile.ZipFile(wheel) as zipped:
        assert "ocunet_pacs/forgotten.py" not in zipped.namelist()
        assert not [name for name in zipped.namelist() if name.startswith("tests/")]
    with pytest.raises(NotBuilt, match="not empty"):
        build(tmp_path / "clone", tmp_path / "out")
    (tmp_path / "clone" / "ocunet_pacs" / "__init__.py").write_text("")
    with pytest.raises(NotBuilt, match=r"ocunet_pacs/__init__\.py"):
        build(tmp_path / "clone", tmp_path / "elsewhere")
