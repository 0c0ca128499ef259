"""Three hosts beside one, on one PostgreSQL and one store; one is cut off and one killed while 300 studies run.

Hosts are namespaces on this machine (see `tests/hosts.py`), so three of them have no more processors than one. What a
host adds can only be seen where something else is the bottleneck: here a device that waits for `BENCH_PASS` seconds a
photograph, as a processor waits for its graphics card, and each host has one. Beside each figure stand the processor
seconds that the hosts used for a study and how busy the machine was: near 100 %, by whomever, the processors are the
bottleneck after all. With a device that takes no time they are from the beginning: then the ratio says what hosts cost,
not what they bring. On a busy machine take a longer wait and fewer studies: BENCH_PASS=3 BENCH_STUDIES=45.

All studies are received first and complete at one moment. Figures are studies a second from then until the last one's
analysis is done, as the queue's rows have it; meanwhile results are delivered.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs.model.untrained import write_untrained_bundle
from tests.bench.rounds import say
from tests.daemon import wait_until
from tests.hosts import why_not
from tests.many_hosts import draw_studies, many_hosts

if TYPE_CHECKING:
    from tests.hosts import Host
    from tests.many_hosts import ManyHosts

STUDIES = int(os.environ.get("BENCH_STUDIES", "300"))
PHOTOGRAPHS = 1
"""Of each study."""
PASS = float(os.environ.get("BENCH_PASS", "0.6"))
LOSE = os.environ.get("BENCH_LOSE", "1") == "1"
PATIENCE = 3600.0


def main() -> None:
    """Print studies a second on one and three hosts, and what became of a run that lost two hosts of three."""
    if reason := why_not():
        say(f"no hosts can be made here: {reason}")
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
        room = Path(name)
        write_untrained_bundle(room / "bundle", datetime(2026, 1, 1, tzinfo=UTC), prepare=False)
        say(f"{PHOTOGRAPHS} photograph a study, {os.cpu_count()} processors; studies a second (the hosts' processor")
        say("seconds a study, how busy the machine was)")
        say(f"{'device, s a photograph':>24}{'studies':>9}{'one host':>22}{'three hosts':>22}{'ratio':>8}")
        for seconds, studies in ((PASS, STUDIES), (0.0, STUDIES // 3)):
            one, three = (_throughput(room, hosts, seconds, studies) for hosts in (1, 3))
            ratio = three.a_second / one.a_second
            say(f"{seconds:24.2f}{studies:9}{one.words:>22}{three.words:>22}{ratio:8.2f}")
        if LOSE:
            _lose_two(room)


@dataclass(frozen=True)
class _Figure:
    a_second: float
    used: float
    """Processor seconds of the hosts, a study."""
    busy: float
    """Share of the time in which the processors did something, for whomever."""

    @property
    def words(self) -> str:
        return f"{self.a_second:.2f} ({self.used:.2f}, {self.busy:.0%})"


def _throughput(room: Path, count: int, seconds: float, studies: int) -> _Figure:
    folder = room / f"{count}-{seconds:g}"
    folder.mkdir()
    with many_hosts(folder, room / "bundle", count, lease="60s", at_once=2, durable=True, held=True) as ours:
        ours.start(ours.hosts[0], "listen", "work", "deliver", seconds=seconds)
        for host in ours.hosts[1:]:
            ours.start(host, "work", seconds=seconds)
        _wait_for_workers(ours.hosts)
        _send_all(ours, draw_studies(folder, studies, PHOTOGRAPHS))
        before, used = _processor_seconds(), sum(host.processor_seconds() for host in ours.hosts)
        ours.complete()
        wait_until(lambda: _done(ours) == studies, "all studies to be analysed", PATIENCE)
        busy, all_time = (now - then for now, then in zip(_processor_seconds(), before, strict=True))
        used = sum(host.processor_seconds() for host in ours.hosts) - used
        [(began, ended)] = ours.ask("SELECT min(created_at), max(finished_at) FROM jobs WHERE kind = 'analyse'")
        return _Figure(studies / (ended - began).total_seconds(), used / studies, busy / all_time)


def _processor_seconds() -> tuple[float, float]:
    """Of all processors together since the machine's start: busy, and busy or idle."""
    times = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = times[3] + times[4]
    return float(sum(times) - idle), float(sum(times))


def _lose_two(room: Path) -> None:
    folder = room / "lose-two"
    folder.mkdir()
    with many_hosts(folder, room / "bundle", 3, lease="20s", durable=True) as ours:
        good, loses_power, cut_off = ours.hosts
        ours.start(good, "listen", "work", "deliver", seconds=PASS / 2)
        ours.start(loses_power, "work", "deliver", seconds=PASS / 2)
        ours.start(cut_off, "work", "deliver", seconds=PASS / 2)
        _wait_for_workers(ours.hosts)
        began = time.monotonic()
        _send_all(ours, draw_studies(folder, STUDIES, PHOTOGRAPHS))
        wait_until(lambda: _done(ours) >= STUDIES // 4, "a quarter to be analysed", PATIENCE)
        cut_off.cut()
        wait_until(lambda: _done(ours) >= STUDIES // 3, "a third to be analysed", PATIENCE)
        loses_power.kill()
        wait_until(lambda: _done(ours) >= STUDIES // 2, "half to be analysed", PATIENCE)
        cut_off.mend()
        wait_until(lambda: _done(ours) == STUDIES and ours.unfinished() == 0, "the queue to be empty", PATIENCE)
        spent = time.monotonic() - began
        results = "SELECT count(*), count(DISTINCT study_id), count(DISTINCT key) FROM analyses WHERE key IS NOT NULL"
        [(analyses, studies, keys)] = ours.ask(results)
        [(reports,)] = ours.ask("SELECT count(*) FROM outputs WHERE kind = 'report'")
        [(again, dead)] = ours.ask(
            "SELECT count(*) FILTER (WHERE attempt > 1), count(*) FILTER (WHERE state = 'dead') FROM jobs"
        )
        say(f"one of three cut off at a quarter and back at half, one killed at a third: {spent:.0f} s")
        say(f"  {studies} studies, {analyses} results, {keys} keys, {reports} reports; bar: {STUDIES} of each")
        say(f"  {len(list(ours.archive.iterdir()))} objects in the archive; bar: {(PHOTOGRAPHS + 1) * STUDIES}")
        say(f"  {again} jobs were taken over, {dead} are dead")


def _wait_for_workers(hosts: tuple[Host, ...]) -> None:
    for host in hosts:
        wait_until(lambda host=host: '"working"' in host.log_text(), f"{host.name} to be working", 600)
    wait_until(lambda: '"listening"' in hosts[0].log_text(), "the listener", 600)


def _send_all(ours: ManyHosts, studies: list[list[Path]]) -> None:
    for study in studies:
        assert ours.send(ours.hosts[0], study)


def _done(ours: ManyHosts) -> int:
    return int(ours.ask("SELECT count(*) FROM jobs WHERE kind = 'analyse' AND state = 'done'")[0][0])
