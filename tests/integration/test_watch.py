"""A watched folder in this process: real pictures, the product's store and rows, a process that wraps."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
import structlog
from PIL import Image

from ocunet_pacs.app.watch import watched_folders
from ocunet_pacs.app.watch_folder import WatchedFolder
from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.wrapping import Wrapping
from ocunet_pacs.intake import set_aside
from ocunet_pacs.settings import from_tree
from ocunet_pacs.store.files import Files
from tests.integration.ledgers import FileLedger
from tests.integration.objects import photograph, write

pytestmark = pytest.mark.timeout(180)
PATTERN = r"(?P<patient_id>[^_]+)_(?P<laterality>[^_]+)_(?P<date>\d{8})(_\d+)?"


@dataclass
class Site:
    """A folder that is watched, and where its pictures go. Its clock stands still unless it is moved."""

    root: Path
    wrapping: Wrapping
    ledger: FileLedger
    options: dict[str, Any] = field(default_factory=dict)
    now: float = 0.0
    counted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    logged: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = self.root / "export"
        self.folder.mkdir(exist_ok=True)
        self.files = Files(self.root / "store")
        self.watched = self.start()

    def start(self) -> WatchedFolder:
        """As after a new start of the role."""
        watch = {"name": "export", "path": str(self.folder), "pattern": PATTERN, "settle": "5s"} | self.options
        settings = from_tree({"watch": [watch], "store": {"path": str(self.files.root), "min_free": 0}})
        (found,) = watched_folders(settings, self.files, self.ledger, self.wrapping, self.count)
        found._monotonic = lambda: self.now
        self.watched = found
        return found

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counted[(name, *labels.values())] += amount

    def rounds(self, number: int = 2, seconds: float = 5.0) -> None:
        for _ in range(number):
            self.watched.round(lambda: True)
            self.now += seconds

    def left(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if path.name not in {"done", "refused"}}

    def done(self) -> set[str]:
        return {path.name for path in (self.folder / "done").iterdir()}

    def refused(self) -> dict[str, str]:
        folder = self.folder / "refused"
        names = {path.name for path in folder.iterdir() if not path.name.endswith(".reason.txt")}
        return {name: (folder / f"{name}.reason.txt").read_text() for name in names}

    def objects(self) -> list[pydicom.Dataset]:
        return [pydicom.dcmread(self.files.root / row["file_key"]) for row in self.ledger.rows()]

    def troubles(self) -> list[str]:
        return [line["problem"] for line in self.logged if line["event"] == "watch_trouble"]


@pytest.fixture(scope="module")
def wrapping() -> Iterator[Wrapping]:
    process = Wrapping(timeout=timedelta(seconds=60), memory_bytes=1 << 30)
    yield process
    process.close()


@pytest.fixture
def make_site(tmp_path: Path, wrapping: Wrapping) -> Iterator[Callable[..., Site]]:
    ledger = FileLedger(tmp_path / "rows.db")
    with structlog.testing.capture_logs() as logged:

        def make(**options: Any) -> Site:
            return Site(tmp_path, wrapping, ledger, options, logged=logged)

        yield make
    ledger.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture(scope="module")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "eye.jpg"
    picture = Image.fromarray(draw_fundus(seed=1, laterality=Laterality.RIGHT, size=(320, 240)))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2026:03:01 10:11:12"
    picture.save(path, quality=90, exif=exif)
    return path


def test_a_picture_becomes_an_object_once(site: Site, eye: Path) -> None:
    shutil.copy(eye, site.folder / "P1_OD_20260301.jpg")
    site.rounds(1)
    assert site.left() == {"P1_OD_20260301.jpg"}
    site.rounds(2)
    assert not site.left()
    assert site.done() == {"P1_OD_20260301.jpg"}
    (ds,) = site.objects()
    assert (ds.PatientID, ds.ImageLaterality, ds.StudyDate, ds.StudyTime) == ("P1", "R", "20260301", "")
    assert ds.AcquisitionDateTime.startswith("20260301101112")
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    assert eye.read_bytes() in ds.PixelData  # not recompressed
    assert site.counted[("instances", "watch", "export", "stored", "")] == 1
    assert not list(site.files.incoming.iterdir())

    shutil.copy(eye, site.folder / "P1_OD_20260301.jpg")
    site.rounds()
    assert len(site.ledger.rows()) == 1
    assert site.done() == {"P1_OD_20260301.jpg", "P1_OD_20260301-2.jpg"}


def test_pictures_of_one_visit_are_one_study(site: Site, eye: Path) -> None:
    for number, kind in enumerate(("png", "tiff", "jpg")):
        picture = Image.fromarray(draw_fundus(seed=number, laterality=Laterality.LEFT, size=(300, 200)))
        picture.save(site.folder / f"P1_OS_20260301_{number}.{kind}")
    shutil.copy(eye, site.folder / "P2_OU_20260301.jpg")
    site.rounds()
    objects = site.objects()
    assert len({ds.StudyInstanceUID for ds in objects if ds.PatientID == "P1"}) == 1
    assert len({ds.StudyInstanceUID for ds in objects}) == 2
    (unknown,) = (ds for ds in objects if ds.PatientID == "P2")
    assert "ImageLaterality" not in unknown


def test_dicom_files_are_taken_as_they_are(site: Site) -> None:
    ds, foreign = photograph(), photograph()
    foreign.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    write(ds, site.folder / "anything.dcm")
    write(ds, site.folder / "again.dcm")
    write(foreign, site.folder / "foreign.dcm")
    (site.folder / "cut.dcm").write_bytes((site.folder / "anything.dcm").read_bytes()[:-100])
    site.rounds()
    assert site.done() == {"anything.dcm", "again.dcm"}
    assert [kept.SOPInstanceUID for kept in site.objects()] == [ds.SOPInstanceUID]
    reasons = site.refused()
    assert "SOP class" in reasons["foreign.dcm"]
    assert "cut" in reasons["cut.dcm"]


def test_what_cannot_be_taken_is_refused_with_a_reason(site: Site, eye: Path, tmp_path: Path) -> None:
    folder = site.folder
    (folder / "letter.txt").write_text("Testperson^Erika")
    (folder / "P1_R_20260301_1.jpg").write_bytes(eye.read_bytes()[:500])
    (folder / "P1_R_20260301_2.jpg").write_bytes(b"")
    Image.new("RGB", (20, 20)).save(folder / "P1_R_20260301_3.png")
    small = (folder / "P1_R_20260301_3.png").read_bytes()
    bomb = b"IHDR" + struct.pack(">LL", 65_000, 65_000) + small[24:29]
    (folder / "P1_R_20260301_4.png").write_bytes(small[:12] + bomb + struct.pack(">L", zlib.crc32(bomb)) + small[33:])
    shutil.copy(eye, folder / "IMG_0001.jpg")
    secret = tmp_path / "secret.jpg"
    shutil.copy(eye, secret)
    (folder / "P1_R_20260301_5.jpg").symlink_to(secret)
    os.mkfifo(folder / "P1_R_20260301_6.jpg")
    (folder / "subfolder").mkdir()
    (folder / ".hidden.jpg").write_bytes(b"x")
    (folder / "P1_R_20260301_7.jpg.part").write_bytes(b"x")
    site.rounds()
    reasons = site.refused()
    assert len(reasons) == 8
    assert "neither DICOM nor" in reasons["letter.txt"]
    assert "pattern" in reasons["IMG_0001.jpg"]
    assert "empty" in reasons["P1_R_20260301_2.jpg"]
    assert "links are not followed" in reasons["P1_R_20260301_5.jpg"]
    assert secret.exists()
    assert (folder / "refused" / "P1_R_20260301_5.jpg").is_symlink()
    assert site.left() == {"subfolder", ".hidden.jpg", "P1_R_20260301_7.jpg.part"}
    assert not site.ledger.rows()
    assert not list(site.files.incoming.iterdir())
    assert sum(n for key, n in site.counted.items() if key[3] == "refused") == 8
    said = str(site.logged)
    for word in ("P1", "letter", "Testperson", "IMG"):
        assert word not in said
        assert all(word not in reason for reason in reasons.values())
    assert site.troubles() == ["there are folders in it"]


def test_unnamed_pictures_where_the_site_wants_them(make_site: Callable[..., Site], eye: Path) -> None:
    site = make_site(unnamed="accept")
    shutil.copy(eye, site.folder / "IMG_0001.jpg")
    Image.fromarray(draw_fundus(seed=9, laterality=Laterality.LEFT, size=(300, 200))).save(site.folder / "IMG_0002.png")
    site.rounds()
    first, second = site.objects()
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert {first.PatientID, second.PatientID} == {""}
    assert min(first.StudyDate, second.StudyDate) == "20260301"


def test_a_picture_that_is_written_slowly_is_not_taken_in_halves(site: Site, eye: Path) -> None:
    content = eye.read_bytes()
    path = site.folder / "P1_R_20260301.jpg"
    with path.open("wb") as file:
        for start in range(0, len(content), len(content) // 6):
            file.write(content[start : start + len(content) // 6])
            file.flush()
            site.rounds(1, seconds=4.0)
        site.rounds(3)  # unchanged for long enough, but still open for writing
        assert site.left() == {path.name}
    site.rounds(3)
    assert site.done() == {path.name}
    assert content in site.objects()[0].PixelData


def test_a_picture_that_kills_its_process_is_refused_and_the_next_is_taken(
    site: Site, eye: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(eye, site.folder / "P1_R_20260301_1.jpg")
    shutil.copy(eye, site.folder / "P2_R_20260301_2.jpg")
    really = site.wrapping._start

    def doomed() -> Any:
        channel = really()
        if "P1_R_20260301_1.jpg" in site.left():
            os.kill(site.wrapping.process_id or 0, signal.SIGSTOP)
            os.kill(site.wrapping.process_id or 0, signal.SIGKILL)
        return channel

    monkeypatch.setattr(site.wrapping, "_start", doomed)
    site.rounds()
    assert "SIGKILL" in site.refused()["P1_R_20260301_1.jpg"]
    assert site.done() == {"P2_R_20260301_2.jpg"}


def test_a_file_that_ends_the_whole_program_is_refused_the_fourth_time(
    site: Site, eye: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        """As if the process had been killed."""

    def crash(name: str) -> Any:
        raise Crash

    shutil.copy(eye, site.folder / "P1_R_20260301.jpg")
    for _ in range(3):
        monkeypatch.setattr(site.start()._taker, "take", crash)
        with pytest.raises(Crash):
            site.rounds()
    site.start()
    site.rounds()
    assert "three times" in site.refused()["P1_R_20260301.jpg"]
    shutil.move(site.folder / "refused" / "P1_R_20260301.jpg", site.folder)
    site.rounds()
    assert site.done() == {"P1_R_20260301.jpg"}


class AwayLedger(FileLedger):
    """A database that can go away."""

    away = False

    def record_instance(self, *arguments: Any) -> Any:
        if self.away:
            raise DatabaseError("the database is away")
        return super().record_instance(*arguments)


def test_what_is_our_own_fault_leaves_the_file_where_it_is(tmp_path: Path, wrapping: Wrapping, eye: Path) -> None:
    ledger = AwayLedger(tmp_path / "away.db")
    with structlog.testing.capture_logs() as logged:
        site = Site(tmp_path, wrapping, ledger, logged=logged)
        shutil.copy(eye, site.folder / "P1_R_20260301.jpg")
        ledger.away = True
        site.rounds(40)
        assert site.left() == {"P1_R_20260301.jpg"}
        assert len(site.troubles()) == 1
        ledger.away = False
        site.rounds(40)
        assert site.done() == {"P1_R_20260301.jpg"}
        assert len(site.objects()) == 1
        assert [line["event"] for line in logged].count("watch_works_again") == 1
    ledger.close()


def test_a_folder_that_is_away_is_said_once_and_used_when_it_is_back(site: Site, eye: Path) -> None:
    site.rounds(1)
    site.folder.rename(site.root / "unmounted")
    site.rounds(30)
    assert len(site.troubles()) == 1
    (site.root / "unmounted").rename(site.folder)
    shutil.copy(eye, site.folder / "P1_R_20260301.jpg")
    site.rounds(20)
    assert site.done() == {"P1_R_20260301.jpg"}


def test_a_file_that_cannot_be_moved_is_received_once(site: Site, eye: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(source: Path, target: Path) -> None:
        raise PermissionError(13, "denied")

    shutil.copy(eye, site.folder / "P1_R_20260301.jpg")
    with monkeypatch.context() as patched:
        patched.setattr(set_aside, "_move", denied)
        site.rounds(30)
        assert site.left() == {"P1_R_20260301.jpg"}
        assert len(site.troubles()) == 1
        events = [line["event"] for line in site.logged]
        assert (events.count("instance_stored"), events.count("instance_repeated")) == (1, 0)
        site.start()
        site.rounds(30)
        events = [line["event"] for line in site.logged]
        assert (events.count("instance_stored"), events.count("instance_repeated")) == (1, 1)
    site.rounds(30)
    assert site.done() == {"P1_R_20260301.jpg"}


def test_done_may_lie_on_another_file_system(site: Site, eye: Path) -> None:
    elsewhere = Path("/dev/shm") / f"ocunet-{os.getpid()}"  # a file system of its own on every Linux
    if Path("/dev/shm").stat().st_dev == site.folder.stat().st_dev:
        pytest.skip("there is one file system only")
    elsewhere.mkdir()
    try:
        (site.folder / "done").symlink_to(elsewhere)
        for _ in range(2):
            shutil.copy2(eye, site.folder / "P1_R_20260301.jpg")
            site.rounds()
        assert {path.name for path in elsewhere.iterdir()} == {"P1_R_20260301.jpg", "P1_R_20260301-2.jpg"}
        assert (elsewhere / "P1_R_20260301.jpg").read_bytes() == eye.read_bytes()
        assert not site.left()
    finally:
        shutil.rmtree(elsewhere)


def test_the_longest_names(site: Site, eye: Path) -> None:
    name = f"P1_R_20260301_{'1' * 237}.jpg"
    assert len(name) == 255
    for _ in range(2):
        shutil.copy(eye, site.folder / name)
        (site.folder / ("x" * 255)).write_text("no picture")
        site.rounds()
    assert not site.left()
    assert len(site.done()) == 2
    assert len(list((site.folder / "refused").iterdir())) == 4


def test_hundreds_of_files_at_once(site: Site) -> None:
    first = write(photograph(), site.folder / "0.dcm").read_bytes()
    for number in range(1, 300):
        (site.folder / f"{number}.dcm").write_bytes(first)
    site.rounds()
    assert len(site.done()) == 300
    assert len(site.ledger.rows()) == 1
