"""Past studies for archives of the tests, and a site of ours that fetches them."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydicom.uid import generate_uid

from ocunet_pacs.domain.dates import DateRange
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.intake.archive import ArchivePeer, DicomArchive
from ocunet_pacs.intake.reception import Reception
from ocunet_pacs.jobs.reaper import is_gone, owner_name
from ocunet_pacs.jobs.sql_backfill import SqlBackfill
from ocunet_pacs.pipeline.backfill import BackfillRule, BackfillTools, Result, Run
from ocunet_pacs.pipeline.pace import OpenHours
from ocunet_pacs.store.files import Files
from tests.integration.ledgers import FileLedger
from tests.integration.objects import photograph, write

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.audit import AuditEvent
    from ocunet_pacs.pipeline.backfill import Tally

DATES = DateRange(date(2024, 2, 1), date(2024, 3, 31))


def past_study(
    day: str = "20240305", *, modalities: tuple[str, ...] = ("OP",), images: int = 2, time_of_day: str = "101500"
) -> list[Dataset]:
    """A study with a series for each modality, and `images` small photographs in each."""
    study = generate_uid()
    made = []
    for modality in modalities:
        series = generate_uid()
        for number in range(images):
            ds = photograph(study=study)
            ds.SeriesInstanceUID = series
            ds.Modality = modality
            ds.StudyDate, ds.StudyTime = day, time_of_day
            ds.InstanceNumber = number + 1
            made.append(ds)
    return made


def write_all(studies: list[list[Dataset]], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [write(ds, folder / f"{ds.SOPInstanceUID}.dcm") for study in studies for ds in study]


def uids(*studies: list[Dataset], modality: str = "OP") -> set[str]:
    """SOP Instance UIDs of what is wanted."""
    return {str(ds.SOPInstanceUID) for study in studies for ds in study if ds.Modality == modality}


@dataclass
class Quiet:
    """Watches, and remembers what was waited for."""

    waited: list[str] = field(default_factory=list)

    def moved(self, tally: Tally) -> None:
        pass

    def waiting(self, why: str) -> None:
        if why:
            self.waited.append(why)


@dataclass
class Site:
    """Our store, ledger and reception under `folder`; `run` fetches from an archive into them, without a pause."""

    folder: Path
    ledger: FileLedger = field(init=False)
    counted: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    watcher: Quiet = field(default_factory=Quiet)
    min_free: int = 0
    told: list[AuditEvent] = field(default_factory=list)
    """What the audit trail was told."""

    def __post_init__(self) -> None:
        self.files = Files(self.folder / "store")
        self.ledger = FileLedger(self.folder / "rows.db")
        self.past = SqlBackfill(self.ledger.engine)

    def archive(self, peer: ArchivePeer) -> DicomArchive:
        self.reception = Reception(
            self.files,
            self.ledger,
            read_header=read_header,
            now=lambda: datetime.now(UTC),
            new_token=lambda: uuid.uuid4().hex,
            min_free_bytes=self.min_free,
            count=self.count,
            audit=self.told.append,
        )
        return DicomArchive(peer, "OCUNET", self.reception, self.told.append)

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counted += [(name, labels)] * amount

    def run(self, peer: ArchivePeer, dates: DateRange | None = DATES, **rule: Any) -> Result:
        archive = self.archive(peer)
        tools = BackfillTools(
            archive=archive,
            ledger=self.past,
            hours=OpenHours("", UTC),
            require_room=self.reception.require_room,
            complete=self.ledger.hasten_studies,
            owner=owner_name("test"),
            is_gone=is_gone,
            clock=lambda: datetime.now(UTC),
            wait=lambda _seconds: False,
            sleep=time.sleep,
            watcher=self.watcher,
            count=self.count,
        )
        usual = {
            "modalities": ("OP",),
            "studies_per_minute": 1e9,
            "max_waiting": 10**6,
            "attempts": 3,
            "patience": (),
            "arrival": timedelta(seconds=20),
        }
        run = Run(tools, BackfillRule(**{**usual, **rule}))
        return run.found_before() if dates is None else run.dates(dates)

    def received(self) -> set[str]:
        return {row["sop_instance_uid"] for row in self.ledger.rows()}

    def half_received(self) -> list[Path]:
        return list(self.files.incoming.iterdir())

    def states(self) -> dict[str, str]:
        """State of each study that was found, by its UID."""
        return {row.study_instance_uid: str(row.state) for row in self.past.past_studies(limit=10_000)}

    def reasons(self) -> list[str]:
        return [row.reason for row in self.past.past_studies(limit=10_000) if row.reason]

    def close(self) -> None:
        self.ledger.close()
