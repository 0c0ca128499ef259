"""Files against rows: what is there without being known, and what is known without being there.

A received file without a row was never acknowledged, or the database was restored from an older backup: nobody can
tell, so it is taken in as if it had just been received. Only what would be a second copy is removed. A row without its
file is marked; the object's next resend gives it a file again. A million files need no more memory than a thousand.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import structlog

from ocunet_pacs.domain.errors import BadInput, StoreError
from ocunet_pacs.domain.ports import count_nothing
from ocunet_pacs.domain.study import ReceivedInstance
from ocunet_pacs.domain.upkeep import FileOwner
from ocunet_pacs.logs import Study

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.ledger import Ledger
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.domain.study import ImageHeader
    from ocunet_pacs.domain.upkeep import KeptFile, Upkeep

_PAGE = 500
SETTLED_AFTER = timedelta(hours=1)
"""A received file that is younger may be on its way to its row."""
RESULTS_SETTLED_AFTER = timedelta(days=1)
"""A heatmap gets its row when the whole study is analysed, which takes a slow machine hours."""


class CheckedFiles(Protocol):
    """The part of the file store that the check needs. Every method: StoreError."""

    def named(self, part: str) -> Iterator[tuple[str, os.stat_result]]:
        """Key and status of every file of that part."""

    def now(self) -> datetime:
        """The time by which files have their ages."""

    def path(self, key: str) -> Path:
        """Where the file lies."""

    def has(self, key: str) -> bool:
        """Whether it is there."""

    def remove(self, key: str) -> None:
        """Remove it."""

    def put_aside(self, key: str) -> None:
        """Move it where only a person looks for it."""

    def pseudonym(self, identity: str) -> str:
        """What stands in the ledger for a patient."""


class Consistency:
    """One comparison of the whole store with the whole database; `found` counts what was not as it should be."""

    def __init__(
        self,
        files: CheckedFiles,
        ledger: Ledger,
        upkeep: Upkeep,
        *,
        read_header: Callable[[Path], ImageHeader],
        now: Callable[[], datetime],
        count: Count = count_nothing,
        stopping: Callable[[], bool] = bool,
    ) -> None:
        self._files = files
        self._ledger = ledger
        self._upkeep = upkeep
        self._read_header = read_header
        self._now = now
        self._count = count
        self._stopping = stopping
        self._log = structlog.get_logger()
        self.found: Counter[str] = Counter()

    def check(self) -> Counter[str]:
        """Compare, mend what can be mended, mark the rest. StoreError when the store looks as if it were not there."""
        for owner in FileOwner:
            for rows in self._pages(owner):
                self._check_rows(owner, rows)
        for owner, age in ((FileOwner.INSTANCES, SETTLED_AFTER), (FileOwner.RESULTS, RESULTS_SETTLED_AFTER)):
            settled = self._settled(owner, self._files.now() - age)
            while not self._stopping() and (keys := list(islice(settled, _PAGE))):
                self._check_files(owner, keys)
        return self.found

    def _pages(self, owner: FileOwner) -> Iterator[list[KeptFile]]:
        last = 0
        while not self._stopping() and (page := self._upkeep.kept_files(owner, last, _PAGE)):
            yield page
            last = page[-1].id

    def _check_rows(self, owner: FileOwner, rows: Sequence[KeptFile]) -> None:
        gone = [row for row in rows if not self._files.has(row.file_key)]
        if len(gone) == len(rows) == _PAGE:
            # A resend is taken whether or not its row is marked, so nothing is lost by waiting for a person.
            raise StoreError(f"none of {_PAGE} files in a row is in the store: is it mounted? Nothing was marked")
        lost = [row for row in gone if not row.missing]
        if lost and self._upkeep.mark_missing(owner, lost, self._now()):
            for row in lost:
                self._note("row_without_file")
                self._log.error("file_missing", table=str(owner), row=row.id)
        back = {row.id for row in rows if row.missing} - {row.id for row in gone}
        if back:
            self._upkeep.mark_found(owner, [row for row in rows if row.id in back])
            self._log.info("files_found_again", table=str(owner), rows=len(back))

    def _settled(self, owner: FileOwner, before: datetime) -> Iterator[str]:
        for key, status in self._files.named(owner.value):
            if status.st_mtime < before.timestamp():
                yield key

    def _check_files(self, owner: FileOwner, keys: Sequence[str]) -> None:
        states = self._upkeep.file_states(owner, keys)
        for key in keys:
            if states.get(key) is False:
                continue
            try:
                if key in states:
                    self._note("removed_file_left")
                    self._files.remove(key)
                elif owner is FileOwner.RESULTS:
                    self._note("result_without_row")
                    self._files.remove(key)
                else:
                    self._take_in(key)
            except (StoreError, OSError) as error:
                # One file must not end the check: it is there tomorrow as well.
                self._log.warning("file_not_checked", exc_info=error)

    def _take_in(self, key: str) -> None:
        path = self._files.path(key)
        if not path.is_file():
            return
        try:
            header = self._read_header(path)
        except BadInput as error:
            self._put_aside(key, str(error.reason.code))
            return
        if not (header.study_instance_uid and header.series_instance_uid and header.sop_instance_uid):
            self._put_aside(key, "a UID is absent")
            return
        ours = header.made_by_us or self._ledger.is_output(header.sop_instance_uid)
        size, sha256 = _measured(path)
        instance = ReceivedInstance(
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            sop_instance_uid=header.sop_instance_uid,
            sop_class_uid=header.sop_class_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            file_key=key,
            size_bytes=size,
            sha256=sha256,
            source_ae_title="",
            received_at=self._now(),
            opens_study=not ours,
            patient_digest=self._files.pseudonym(header.patient_identity),
        )
        arrival = self._ledger.record_instance(instance, self._files.has)
        if arrival.conflict:
            self._count("patient_conflicts")
            self._log.warning("patient_conflict", study=Study(header.study_instance_uid), stored=bool(arrival))
        if arrival:
            self._note("file_without_row")
            self._log.warning("file_taken_in", study=Study(header.study_instance_uid), healed=arrival.healed)
        else:
            self._note("second_copy")
            self._files.remove(key)

    def _put_aside(self, key: str, problem: str) -> None:
        self._note("unreadable_file")
        self._files.put_aside(key)
        self._log.error("file_put_aside", problem=problem)

    def _note(self, kind: str) -> None:
        self.found[kind] += 1
        self._count("inconsistencies", kind=kind)


def _measured(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
