"""One watched folder, round by round: what is complete is taken in, and set aside with what became of it.

Nothing here needs to survive a crash: a file that was received but not yet moved is received again, found to be there
already, and moved. Only a file that takes the whole program down is remembered, so that it does so no more than thrice.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from ocunet_pacs.app.watch_take import NO_FILE, Done, Failed, Later, NotYet, Refused
from ocunet_pacs.intake.set_aside import DONE, REFUSED, SetAside
from ocunet_pacs.intake.settling import Seen, Settling
from ocunet_pacs.intake.watch import is_ignored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import structlog

    from ocunet_pacs.app.watch_take import Taker, Verdict
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.settings.intake import WatchFolder

_TRIES = 3
_PATIENCE = 12
"""Tries, `settle` apart, of a file that fails for a reason that nobody foresaw: what is wrong may be over by then."""
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0
_KILLER = Refused("Taking the file in ended the program three times.", "killer")
_PUZZLE = Refused("The file could not be taken in; the daemon's log has the details.", "")


class WatchedFolder:
    """Looks after one folder. `notes` is a folder of ours, `monotonic` gives seconds. Used by one thread."""

    def __init__(
        self,
        folder: WatchFolder,
        taker: Taker,
        count: Count,
        *,
        notes: Path,
        monotonic: Callable[[], float],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._folder = folder
        self._taker = taker
        self._count = count
        self._monotonic = monotonic
        self._log = log.bind(watch=folder.name)
        self._settling = Settling(folder.settle.total_seconds())
        self._aside = SetAside(folder.path)
        self._attempts = Attempts(notes / f"{folder.name}.json")
        self._failures: dict[str, int] = {}
        self._taken: dict[str, tuple[Seen, Done | Refused]] = {}
        self._said: dict[str, str] = {}
        self._not_before = 0.0
        self._pause = _FIRST_PAUSE_S

    def round(self, go_on: Callable[[], bool]) -> None:
        """Look once, and take in what is complete, for as long as `go_on()`. Never raises."""
        if self._monotonic() < self._not_before:
            return
        try:
            scan = self._scan()
            self._aside.prepare()
        except OSError as error:
            self._trouble(
                "folder",
                f"the folder cannot be used: {os.strerror(error.errno or 0)}",
                "see that it is there, mounted, and that the daemon's user may write into it",
            )
            self._rest()
            return
        self._over("folder")
        self._taken = {name: kept for name, kept in self._taken.items() if scan.get(name) == kept[0]}
        for name in self._settling.update(scan, self._monotonic()):
            if not go_on() or not self._deal_with(name, scan[name]):
                return

    def _scan(self) -> dict[str, Seen]:
        """What lies in the folder itself; folders in it, and what is not complete by its name, are left alone."""
        found = {}
        with os.scandir(self._folder.path) as entries:
            for entry in entries:
                if is_ignored(entry.name) or entry.name in {DONE, REFUSED}:
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        self._trouble("subfolders", "there are folders in it", "export to the folder itself")
                        continue
                    regular = stat.S_ISREG(status.st_mode)
                    found[entry.name] = Seen(status.st_ino, status.st_size, status.st_mtime_ns, regular)
        return found

    def _deal_with(self, name: str, seen: Seen) -> bool:
        """Take in one file and set it aside. False where the others must wait too."""
        verdict = self._taken[name][1] if name in self._taken else self._take(name, seen)
        if isinstance(verdict, NotYet):
            self._settling.again(name, self._monotonic())
            return True
        if isinstance(verdict, Failed):
            self._settling.again(name, self._monotonic())
            self._failures[name] = self._failures.get(name, 0) + 1
            if self._failures[name] < _PATIENCE:
                return True
            verdict = _PUZZLE
        if isinstance(verdict, Later):
            self._trouble("file", verdict.problem, verdict.remedy)
            if verdict.only_this:
                self._settling.again(name, self._monotonic())
                return True
            self._rest()
            return False
        self._failures.pop(name, None)
        self._pause = _FIRST_PAUSE_S
        return self._set_aside(name, seen, verdict)

    def _take(self, name: str, seen: Seen) -> Verdict:
        if not seen.is_regular:
            return NO_FILE  # a pipe must not even be opened
        mark = _mark(name, seen)
        if self._attempts.begin(mark) > _TRIES:
            return _KILLER
        verdict = self._taker.take(name)
        self._attempts.end(mark)
        return verdict

    def _set_aside(self, name: str, seen: Seen, verdict: Done | Refused) -> bool:
        try:
            if isinstance(verdict, Done):
                self._aside.done(name)
            else:
                self._aside.refused(name, verdict.reason)
        except FileNotFoundError:
            return True  # somebody else moved it
        except OSError as error:
            # What became of it is known: it is not taken in again, only moved, as soon as that can be.
            self._taken[name] = seen, verdict
            self._trouble(
                "move",
                f"a file could not be moved: {os.strerror(error.errno or 0)}",
                "let the daemon's user write into the folder and its subfolders, and see that there is room",
            )
            self._rest()
            return False
        self._attempts.end(_mark(name, seen))
        self._taken.pop(name, None)
        self._over("file")
        self._over("move")
        if isinstance(verdict, Refused):
            if verdict.code:
                code = str(verdict.code)
                self._count("instances", way="watch", source=self._folder.name, outcome="refused", reason=code)
            self._log.warning("file_refused", file=_digest(name), reason=verdict.reason)
        return True

    def _trouble(self, kind: str, problem: str, remedy: str) -> None:
        """Say it once, until it is over or something else."""
        if self._said.get(kind) != problem:
            self._said[kind] = problem
            self._log.error("watch_trouble", problem=problem, remedy=remedy)

    def _over(self, kind: str) -> None:
        """What was said of this kind holds no more."""
        problem = self._said.pop(kind, None)
        if problem is not None:
            self._log.info("watch_works_again", problem=problem)

    def _rest(self) -> None:
        self._not_before = self._monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)


class Attempts:
    """Which file is being taken in, in a file of ours: what is still there after a crash is what it happened with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tries: dict[str, int] = {}
        with suppress(OSError, ValueError):
            noted = json.loads(path.read_text("utf-8"))
            self._tries = {str(mark): int(tries) for mark, tries in noted.items()} if isinstance(noted, dict) else {}

    def begin(self, mark: str) -> int:
        """The file is about to be taken in; for the how manieth time without an end."""
        self._tries[mark] = self._tries.get(mark, 0) + 1
        self._write()
        return self._tries[mark]

    def end(self, mark: str) -> None:
        """It did not end the program."""
        if self._tries.pop(mark, None) is not None:
            self._write()

    def _write(self) -> None:
        with suppress(OSError):  # a disk that is full will be noticed by the file itself
            if self._tries:
                self._path.write_text(json.dumps(self._tries), "utf-8")
            else:
                self._path.unlink(missing_ok=True)


def _mark(name: str, seen: Seen) -> str:
    return _digest(f"{name}/{seen.size}/{seen.modified_ns}")


def _digest(name: str) -> str:
    """Stands for a file in logs: its name may be the patient's."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
