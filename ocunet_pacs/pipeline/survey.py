"""What a backfill would fetch, by month: the archive is asked, nothing is fetched and nothing recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocunet_pacs.domain.backfill import FINAL, BackfillState
from ocunet_pacs.pipeline.listing import Lister

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocunet_pacs.domain.backfill import Archive, BackfillLedger, BackfillStudy, FoundStudy
    from ocunet_pacs.domain.dates import DateRange, Window


@dataclass(slots=True)
class MonthCount:
    """Studies of one month: to fetch, tried before without success, and done with by earlier runs."""

    to_fetch: int = 0
    failed: int = 0
    done: int = 0


@dataclass(slots=True)
class Survey:
    """Counts by month (`2024-03`), in the order asked for, and the windows of which only a part was listed."""

    months: dict[str, MonthCount] = field(default_factory=dict)
    cut: list[Window] = field(default_factory=list)
    interrupted: bool = False


def survey(
    archive: Archive,
    ledger: BackfillLedger,
    dates: DateRange,
    modalities: Sequence[str],
    *,
    newest_first: bool,
    stopping: Callable[[], bool],
) -> Survey:
    """Ask for every study of these days. ArchiveError."""
    found = Survey()
    lister = Lister(
        lambda window: archive.list_studies(window, modalities), found.cut.append, newest_first=newest_first
    )
    for window in dates.months(newest_first=newest_first):
        for batch in lister.batches(window):
            known = ledger.look_up(archive.name, [study.study_instance_uid for study in batch])
            for study in batch:
                if stopping():
                    found.interrupted = True
                    return found
                row = known.get(study.study_instance_uid)
                if _is_wanted(archive, study, row, modalities):
                    _count(found.months.setdefault(f"{study.day:%Y-%m}", MonthCount()), row, modalities)
    return found


def _is_wanted(archive: Archive, study: FoundStudy, row: BackfillStudy | None, modalities: Sequence[str]) -> bool:
    """Whether it has a series of these modalities, as far as the archive or an earlier run can tell."""
    if _is_done(row, modalities):
        assert row is not None
        return row.state is not BackfillState.NOTHING
    return bool(study.modalities) or bool(archive.list_series(study.study_instance_uid, modalities))


def _is_done(row: BackfillStudy | None, modalities: Sequence[str]) -> bool:
    return row is not None and row.state in FINAL and set(modalities) <= set(row.modalities)


def _count(month: MonthCount, row: BackfillStudy | None, modalities: Sequence[str]) -> None:
    if _is_done(row, modalities):
        month.done += 1
    elif row is not None and row.state is BackfillState.FAILED:
        month.failed += 1
    else:
        month.to_fetch += 1
