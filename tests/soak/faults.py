"""What is done to the daemon and its surroundings while it works."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.soak.services import processes
from tests.soak.site import LEASE_SECONDS, MIN_FREE
from tests.soak.timetable import Kind, Planned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.small_disk import SmallDisk
    from tests.soak.site import Site

    Doing = Callable[["Site", random.Random], Iterator[str]]
    """Begins the fault, yields what it was done to, and ends it when it is resumed."""

ZOMBIE = (LEASE_SECONDS + 10.0, LEASE_SECONDS + 20.0)


@dataclass
class Happened:
    """A fault as it came: moments are seconds since the start of the run; `end` is None while it lasts."""

    kind: str
    to: str
    begin: float
    end: float | None = None
    trouble: str = ""


def _kill(*roles: str) -> Doing:
    def doing(site: Site, dice: random.Random) -> Iterator[str]:
        found = processes(site.services, lambda role: role in roles)
        if not found:
            yield "nothing: none was running"
            return
        pid, role = dice.choice(found)
        if pid == site.second.pid:
            site.second.kill()
        else:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        yield f"{role} {pid}"

    return doing


def _kill_serve(site: Site, dice: random.Random) -> Iterator[str]:
    site.serve.kill()
    yield "serve, and with it all that it started"


def _kill_all(site: Site, dice: random.Random) -> Iterator[str]:
    for service in site.services:
        service.kill()
    yield "everything at once"


def _restart(site: Site, dice: random.Random) -> Iterator[str]:
    service = dice.choice(site.services)
    status = service.stop()
    service.start()
    yield f"{service.name}; it ended with status {status}"


def _freeze(*roles: str) -> Doing:
    def doing(site: Site, dice: random.Random) -> Iterator[str]:
        found = processes(site.services, lambda role: role in roles)
        if not found:
            yield "nothing: none was running"
            return
        pid, role = dice.choice(found)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        yield f"{role} {pid}"
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return doing


def _database(site: Site, dice: random.Random) -> Iterator[str]:
    site.database.stop()
    yield "all of it"
    site.database.start()


def _archive_stopped(site: Site, dice: random.Random) -> Iterator[str]:
    site.archive.stop()
    yield "Orthanc"
    site.archive.start()


def _archive_frozen(site: Site, dice: random.Random) -> Iterator[str]:
    site.archive.freeze()
    yield "Orthanc"
    site.archive.thaw()


def _archive_busy(site: Site, dice: random.Random) -> Iterator[str]:
    site.busy_archive.busy, site.busy_archive.forgets = 0.6, 0.2
    yield "six of ten objects are answered 0xA700, two of ten taken and forgotten"
    site.busy_archive.busy = site.busy_archive.forgets = 0.0


def _disk(*, full: bool) -> Doing:
    def doing(site: Site, dice: random.Random) -> Iterator[str]:
        assert site.disk is not None
        free = dice.randrange(200 << 10) if full else MIN_FREE - (1 << 20)
        _fill(site.disk, free)
        yield f"{free >> 10} KiB left at first"
        site.disk.empty()

    return doing


def _fill(disk: SmallDisk, free: int) -> None:
    """The daemon writes meanwhile: what was free a moment ago may be so no longer."""
    for more in (0, 1 << 20, 4 << 20, 16 << 20):
        with suppress(OSError):
            disk.leave(free + more)
            return


def _clock(seconds: int) -> Doing:
    def doing(site: Site, dice: random.Random) -> Iterator[str]:
        site.clock.move(seconds)
        yield f"from then on it shows {site.clock.moved / 3600:+g} h"

    return doing


def _reload(site: Site, dice: random.Random) -> Iterator[str]:
    """Everything that may change at once; and back after a moment."""
    site.point_to(1)
    site.write_settings(level="debug", without=dice.choice(site.cameras))
    for service in site.services:
        service.reload()
    yield "other bundle, one camera less, log level debug"
    site.point_to(0)
    site.write_settings()
    for service in site.services:
        service.reload()


KINDS: dict[Kind, Doing] = {
    Kind("worker killed", "work", ends_processes=True): _kill("work"),
    Kind("listener killed", "listen", ends_processes=True): _kill("listen"),
    Kind("sender killed", "deliver", ends_processes=True): _kill("deliver"),
    Kind("supervisor killed", "serve", ends_processes=True): _kill_serve,
    Kind("everything killed", "serve", ends_processes=True): _kill_all,
    Kind("stopped and started", "serve", ends_processes=True): _restart,
    Kind("decoder killed", "decoder"): _kill("decoder"),
    Kind("worker frozen for longer than its lease", "work", ZOMBIE): _freeze("work"),
    Kind("listener frozen", "listen", (5.0, 20.0)): _freeze("listen"),
    Kind("sender frozen for longer than its lease", "deliver", ZOMBIE): _freeze("deliver"),
    Kind("database restarted", "database"): _database,
    Kind("database away", "database", (40.0, 70.0)): _database,
    Kind("archive stopped", "archive", (15.0, 60.0)): _archive_stopped,
    Kind("archive frozen", "archive", (15.0, 40.0)): _archive_frozen,
    Kind("archive busy and forgetful", "busy archive", (15.0, 60.0)): _archive_busy,
    Kind("disk full", "disk", (15.0, 45.0)): _disk(full=True),
    Kind("disk nearly full", "disk", (15.0, 45.0)): _disk(full=False),
    Kind("clock put forward by 2 h", "clock"): _clock(7200),
    Kind("clock put back by 1 h", "clock"): _clock(-3600),
    Kind("reloaded", "serve", (5.0, 20.0)): _reload,
}


def possible(site: Site) -> tuple[list[Kind], dict[str, str]]:
    """The kinds that can be had here, and why the others cannot."""
    lacking: dict[str, str] = {}
    if site.disk is None:
        lacking["disk"] = "a small file system cannot be mounted here (root may)"
    if not site.clock.is_movable:
        lacking["clock"] = "there is no C compiler here"
    kinds = [kind for kind in KINDS if kind.target not in lacking and (site.reloads or kind.name != "reloaded")]
    missing = {kind.name: lacking[kind.target] for kind in KINDS if kind.target in lacking}
    if not site.reloads:
        missing["reloaded"] = "the units do not reload yet (Type=notify-reload)"
    return kinds, missing


@dataclass
class Faults:
    """Lets the planned faults happen; `happened` is what did."""

    site: Site
    began: float
    say: Callable[[str], None]
    happened: list[Happened] = field(default_factory=list)
    _running: list[threading.Thread] = field(default_factory=list)
    _targets: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def run(self, planned: list[Planned], until: float) -> None:
        """Return at `until` (monotonic), when all faults are over."""
        for one in planned:
            time.sleep(max(0.0, self.began + one.at - time.monotonic()))
            thread = threading.Thread(target=self._let_happen, args=(one,), daemon=True)
            thread.start()
            self._running.append(thread)
        time.sleep(max(0.0, until - time.monotonic()))
        for thread in self._running:
            thread.join(300)

    def _let_happen(self, one: Planned) -> None:
        # The timetable lets the next come when this one ends, but a server takes a while to be there again.
        with self._targets[one.kind.target]:
            happened = Happened(one.kind.name, "", time.monotonic() - self.began)
            self.happened.append(happened)
            doing = KINDS[one.kind](self.site, random.Random(one.seed))
            try:
                happened.to = next(doing)
                self.say(f"{happened.kind}: {happened.to}")
                time.sleep(one.lasts)
                next(doing, None)
            except Exception as error:  # noqa: BLE001 - the others still have to come; the verdict tells of it
                happened.trouble = f"{type(error).__name__}: {error}"
            happened.end = time.monotonic() - self.began
            if one.lasts or happened.trouble:
                self.say(f"{happened.kind}: over after {happened.end - happened.begin:.0f} s {happened.trouble}")
