"""Files against rows: nothing that was received is thrown away, and nothing that is lost stays unsaid."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from ocunet_pacs.domain.errors import BadInput, StoreError
from ocunet_pacs.domain.job import Done, JobKind
from ocunet_pacs.domain.result import Addressed, Output, OutputKind
from ocunet_pacs.domain.study import ImageHeader, Reason, ReasonCode, ReceivedInstance
from ocunet_pacs.domain.upkeep import FileOwner
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.store.consistency import Consistency
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OP = "1.2.840.10008.5.1.4.1.1.77.1.5.1"


@dataclass
class House:
    """A store on disk; a file's content is "study series instance patient", or nonsense."""

    files: Files
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    number: int = 0

    def file(self, uid: str, study: str = "1.2", patient: str = "roe", *, age: timedelta = 2 * HOUR) -> str:
        """A received file without a row; its key."""
        self.number += 1
        key = self.files.new_instance_key(f"{self.number:032x}")
        incoming = self.files.open_incoming(f"{self.number:032x}")
        incoming.write(f"{study} {study}.1 {uid} {patient}".encode())
        incoming.close()
        self.files.adopt(incoming.path, key)
        self.touch(key, age)
        return key

    def touch(self, key: str, age: timedelta) -> None:
        moment = (self.files.now() - age).timestamp()
        os.utime(self.files.path(key), (moment, moment))

    def receive(self, uid: str, study: str = "1.2", patient: str = "roe") -> str:
        """A file with its row; its key."""
        key = self.file(uid, study, patient)
        header = read_header(self.files.path(key))
        received = ReceivedInstance(
            study, f"{study}.1", uid, OP, "1.2.840.10008.1.2.1", key, 1, "0" * 64, "CAMERA", NOW,
            patient_digest=self.files.pseudonym(header.patient_identity),
        )  # fmt: skip
        assert self.jobs.record_instance(received, self.files.has)
        return key

    def check(self, *, now: datetime = NOW, **more: Any) -> Counter[str]:
        return Consistency(self.files, self.jobs, self.jobs, read_header=read_header, now=lambda: now, **more).check()

    def finish(self) -> Output:
        """Analyse what is open: the report, stored."""
        for study in self.jobs.studies_due(NOW + DAY, DAY):
            self.jobs.close_study(study, NOW, 3)
        job = self.jobs.claim([JobKind.ANALYSE], "work", NOW, HOUR)
        assert job is not None
        report = Output(OutputKind.REPORT, "1.88", "2.25.1", "2.25.2", self.files.new_result_key("1" * 32))
        self.files.put(report.file_key, b"a report")
        self.touch(report.file_key, 2 * DAY)
        self.jobs.finish_analysis(
            job,
            key="a key",
            result="{}",
            outputs=[Addressed(report, ("pacs",))],
            expected_predecessor=None,
            delivery_attempts=3,
            now=NOW,
        )
        return report


def read_header(path: Path) -> ImageHeader:
    words = path.read_text().split()
    if len(words) != 4:
        raise BadInput(Reason(ReasonCode.NOT_DICOM, "the test broke it"))
    study, series, uid, patient = words
    return ImageHeader(study, series, uid, OP, "1.2.840.10008.1.2.1", patient_identity=patient)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Files(tmp_path / "store"))


def test_a_store_that_is_as_it_should_be_stays_as_it_is(house: House) -> None:
    keys = [house.receive("1.1"), house.receive("1.2"), house.finish().file_key]
    assert not house.check()
    assert all(house.files.has(key) for key in keys)


def test_a_file_without_a_row_is_taken_in_as_if_it_had_just_come(house: House) -> None:
    """The database was restored from an older backup, or its process died before the row."""
    key = house.file("1.1")
    assert house.check() == {"file_without_row": 1}
    stored = house.jobs.find_instance("1.1")
    assert stored is not None
    assert stored.file_key == key
    [study] = house.jobs.studies_due(NOW + DAY, DAY)
    assert study.study_instance_uid == "1.2"
    assert not house.check(), "once"


def test_a_file_that_may_be_on_its_way_to_its_row_is_left_alone(house: House) -> None:
    young = house.file("1.1", age=HOUR / 2)
    result = house.files.new_result_key("7" * 32)
    house.files.put(result, b"a heatmap of a study that is being analysed")
    house.touch(result, 3 * HOUR)
    assert not house.check()
    assert house.files.has(young)
    assert house.files.has(result)


def test_a_second_copy_is_removed(house: House) -> None:
    """A process died after a resend was on disk and before it saw that the object is there already."""
    first, second = house.receive("1.1"), house.file("1.1")
    assert house.check() == {"second_copy": 1}
    assert house.files.has(first)
    assert not house.files.has(second)


def test_a_file_that_cannot_be_read_is_put_aside_for_a_person(house: House) -> None:
    key = house.file("1.1 and more than that")
    assert house.check() == {"unreadable_file": 1}
    assert not house.files.has(key)
    assert house.files.put_aside_count() == 1
    assert not house.check()


def test_a_file_of_another_patient_is_kept_apart(house: House) -> None:
    house.receive("1.1", patient="roe")
    house.file("1.2", patient="doe")
    counted: list[str] = []
    house.check(count=lambda name, amount=1, /, **labels: counted.append(name))
    assert "patient_conflicts" in counted
    assert house.jobs.upkeep_counts().patient_conflicts == 2


def test_a_row_without_its_file_is_marked_named_and_healed_by_a_resend(house: House) -> None:
    house.files.remove(house.receive("1.1"))
    house.receive("1.2")
    with structlog.testing.capture_logs() as logged:
        assert house.check() == {"row_without_file": 1}
    assert [(line["event"], line["table"], line["row"]) for line in logged if line["log_level"] == "error"] == [
        ("file_missing", "instances", 1)
    ]
    assert house.jobs.upkeep_counts().missing_instances == 1
    assert not house.check(), "it is said once"
    again = house.receive("1.1")
    stored = house.jobs.find_instance("1.1")
    assert stored is not None
    assert (stored.file_key, stored.gone) == (again, None)
    assert house.jobs.upkeep_counts().missing_instances == 0


def test_a_file_that_comes_back_is_no_longer_missing(house: House) -> None:
    key = house.receive("1.1")
    away = house.files.root / "away"
    house.files.path(key).rename(away)
    house.check()
    away.rename(house.files.path(key))
    house.check()
    assert house.jobs.upkeep_counts().missing_instances == 0


def test_a_file_without_a_row_heals_the_row_that_lost_its_own(house: House) -> None:
    house.files.remove(house.receive("1.1"))
    key = house.file("1.1")
    house.check()
    stored = house.jobs.find_instance("1.1")
    assert stored is not None
    assert (stored.file_key, stored.gone) == (key, None)


def test_what_a_crash_left_of_a_removal_is_removed(house: House) -> None:
    key, report = house.receive("1.1"), house.finish()
    job = house.jobs.claim([JobKind.DELIVER], "deliver", NOW, HOUR)
    assert job is not None
    house.jobs.finish(job, Done(), NOW, 0.0)
    assert len(house.jobs.mark_removed(1, NOW)) == 2
    assert house.check() == {"removed_file_left": 2}
    assert not house.files.has(key)
    assert not house.files.has(report.file_key)


def test_results_without_rows_are_litter_after_a_day(house: House) -> None:
    report = house.finish() if house.receive("1.1") else None
    litter = house.files.new_result_key("7" * 32)
    house.files.put(litter, b"a heatmap of an analysis that died")
    house.touch(litter, 2 * DAY)
    assert house.check() == {"result_without_row": 1}
    assert not house.files.has(litter)
    assert report is not None
    assert house.files.has(report.file_key)


@pytest.mark.parametrize("ahead", [-30 * DAY, 30 * DAY])
def test_no_clock_but_the_file_systems_says_what_is_litter(house: House, ahead: timedelta) -> None:
    fresh, litter = house.files.new_result_key("7" * 32), house.files.new_result_key("8" * 32)
    for key, age in ((fresh, timedelta()), (litter, 2 * DAY)):
        house.files.put(key, b"a heatmap")
        house.touch(key, age)
    assert house.check(now=house.files.now() + ahead) == {"result_without_row": 1}
    assert house.files.has(fresh)


def test_a_result_that_is_lost_is_marked(house: House) -> None:
    house.receive("1.1")
    house.files.remove(house.finish().file_key)
    assert house.check() == {"row_without_file": 1}
    assert house.jobs.upkeep_counts().missing_results == 1


def test_a_store_that_is_not_mounted_marks_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocunet_pacs.store.consistency._PAGE", 5)
    for number in range(6):
        house.receive(f"1.{number}")
    shutil.rmtree(house.files.root / "instances")
    with pytest.raises(StoreError, match="is it mounted"):
        house.check()
    assert house.jobs.upkeep_counts().missing_instances == 0


def test_everything_is_checked_page_by_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocunet_pacs.store.consistency._PAGE", 3)
    for number in range(8):
        key = house.receive(f"1.{number}")
        if number == 7:
            house.files.remove(key)
    strays = [house.file(f"2.{number}") for number in range(8)]
    sizes: list[int] = []
    states = house.jobs.file_states

    def file_states(owner: FileOwner, keys: list[str]) -> dict[str, bool]:
        sizes.append(len(keys))
        return states(owner, keys)

    monkeypatch.setattr(house.jobs, "file_states", file_states)
    assert house.check() == {"file_without_row": 8, "row_without_file": 1}
    assert max(sizes) == 3
    assert all(house.files.has(key) for key in strays)


def test_files_that_are_not_ours_are_left_alone(house: House) -> None:
    house.receive("1.1")
    foreign = house.files.root / "instances" / ".nfs0001"
    foreign.write_bytes(b"a file that a network file system keeps while somebody reads it")
    os.utime(foreign, (0, 0))
    assert not house.check()
    assert foreign.exists()


def test_a_stop_ends_it(house: House) -> None:
    house.file("1.1")
    assert not house.check(stopping=lambda: True)
