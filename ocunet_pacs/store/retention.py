"""When files go: by age, and by space the oldest first. Never while a step that is still to come needs them.

What may go is asked of the rows (`Upkeep.removable_studies`); a study's rows say that its files are removed before the
first of them is. So whatever is cut short leaves files too many, which the consistency check removes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.domain.ports import count_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.domain.upkeep import KeptStudy, Upkeep

_PAGE = 200


class RemovableFiles(Protocol):
    """The part of the file store that retention needs."""

    def remove(self, key: str) -> None:
        """Remove a file; nothing happens when there is none. StoreError."""

    def free_bytes(self) -> int:
        """Room left. StoreError."""


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Files of studies that got nothing for `keep` go; below `keep_free` bytes of room the oldest go earlier."""

    keep: timedelta
    keep_free: int


def remove_files(
    files: RemovableFiles,
    upkeep: Upkeep,
    rule: RetentionRule,
    *,
    now: datetime,
    count: Count = count_nothing,
    stopping: Callable[[], bool] = bool,
) -> int:
    """Remove what may go by now; how many files that were. `stopping` ends it between two studies."""
    removed = 0
    for study in _removable(upkeep, now - rule.keep):
        if stopping():
            return removed
        removed += _remove(files, upkeep, study, "age", now, count)
    if files.free_bytes() >= rule.keep_free:
        return removed
    for study in _removable(upkeep, now):
        if stopping() or files.free_bytes() >= rule.keep_free:
            return removed
        removed += _remove(files, upkeep, study, "space", now, count)
    if files.free_bytes() < rule.keep_free:
        structlog.get_logger().warning(
            "store_is_filling_up", meaning="less than retention.keep_free is left, and nothing more may be removed"
        )
    return removed


def _removable(upkeep: Upkeep, before: datetime) -> Iterator[KeptStudy]:
    last: KeptStudy | None = None
    while page := upkeep.removable_studies(before, last, _PAGE):
        yield from page
        last = page[-1]


def _remove(files: RemovableFiles, upkeep: Upkeep, study: KeptStudy, cause: str, now: datetime, count: Count) -> int:
    keys = upkeep.mark_removed(study.id, now)
    removed = 0
    for key in keys:
        try:
            files.remove(key)
        except StoreError as error:
            structlog.get_logger().warning("file_left_behind", study_row=study.id, exc_info=error)
        else:
            removed += 1
    if removed:
        count("files_removed", removed, cause=cause)
        structlog.get_logger().info("files_removed", study_row=study.id, files=removed, cause=cause)
    return removed
