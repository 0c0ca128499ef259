"""Three hosts beside one, on one PostgreSQL and one store; one is cut off and one killed while 300 studies run.

Hosts are namespaces on this machine (see `tests/hosts.py`), so three of them have no more processors than one. What a
host adds can only be seen where something else is the bottleneck: here a device that waits for `BENCH_PASS` seconds a
photograph, as a processor waits for its graphics card. A second pair of rows has a device that takes no time: then the
processors of this machine are what there is, and the ratio says what hosts cost, not what they bring.

Figures are studies a second from the first study's claim to the last one's end, as the queue's rows have it.
"""

from __future__ import annotations

import os
import tempfile
import time
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
FEW = int(os.environ.get("BENCH_FEW", "60"))
PASS = float(os.environ.get("BENCH_PASS", "1.0"))
PATIENCE = 3600.0


def main() -> None:
    """Print studies a second on one and three hosts, and what became of a run that lost two hosts of three."""
    if reason := why_not():
        say(f"no hosts can be made here: {reason}")
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
        room = Path(name)
        write_untrained_bundle(room / "bundle", datetime(2026, 1, 1, tzinfo=UTC), prepare=False)
        say(f"{'device, s a photograph':>24}{'one host':>12}{'three hosts':>12}{'ratio':>8}   studies a second")
        for seconds in (PASS, 0.0):
            one, three = (_throughput(room, hosts, seconds) for hosts in (1, 3))
            say(f"{seconds:24.2f}{one:12.2f}{three:12.2f}{three / one:8.2f}")
        _lose_two(room)


def _throughput(room: Path, count: int, seconds: float) -> float:
    folder = room / f"{count}-{seconds:g}"
    folder.mkdir()
    with many_hosts(folder, room / "bundle", count, lease="60s", durable=True) as ours:
        ours.start(ours.hosts[0], "listen", "work", "deliver", seconds=seconds)
        for host in ours.hosts[1:]:
            ours.start(host, "work", seconds=seconds)
        _wait_for_workers(ours.hosts)
        _send_all(ours, draw_studies(folder, FEW))
        wait_until(lambda: _done(ours) == FEW, "all studies to be analysed", PATIENCE)
        # The first claim is not kept; what a study takes is nearly the same for all.
        [(began, ended)] = ours.ask("SELECT min(created_at), max(finished_at) FROM jobs WHERE kind = 'analyse'")
        return float(FEW / (ended - began).total_seconds())


def _lose_two(room: Path) -> None:
    folder = room / "lose-two"
    folder.mkdir()
    with many_hosts(folder, room / "bundle", 3, lease="20s", durable=True) as ours:
        good, loses_power, cut_off = ours.hosts
        ours.start(good, "listen", "work", "deliver", seconds=PASS / 4)
        ours.start(loses_power, "work", "deliver", seconds=PASS / 4)
        ours.start(cut_off, "work", "deliver", seconds=PASS / 4)
        _wait_for_workers(ours.hosts)
        began = time.monotonic()
        _send_all(ours, draw_studies(folder, STUDIES))
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
        say(f"  {len(list(ours.archive.iterdir()))} objects in the archive; bar: {3 * STUDIES}")
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
