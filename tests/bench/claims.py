"""Claims a second, ours beside procrastinate's: workers that drain a queue on the same PostgreSQL, in turn, in one run.

A worker is a process that claims a job, finishes it and claims the next, with nothing to do between; a round is a few
thousand jobs, from the moment that all workers may begin until the last one finds nothing. PostgreSQL commits as in
earnest (fsync). Each queue works as it comes: ours writes its lease and its guard, procrastinate its events.

procrastinate (https://procrastinate.readthedocs.io, MIT) is no dependency: `BENCH_PROCRASTINATE` names a Python that
has it (`pip install procrastinate psycopg[binary]`); without it there is only our own row.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from ocunet_pacs.domain.job import Done, JobKind, JobState
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.migrate import upgrade
from ocunet_pacs.jobs.schema import jobs
from ocunet_pacs.jobs.sql import SqlJobs
from tests.bench.rounds import say
from tests.pg import new_server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
COUNT = int(os.environ.get("BENCH_CLAIMS", "2000"))
WORKERS = (1, 4, 16)
THEIRS = os.environ.get("BENCH_PROCRASTINATE", "")
_LEASE = timedelta(minutes=5)


def main() -> None:
    """Print a row a number of workers: claims and finishes a second (medians), and ours by theirs with its extremes."""
    server = new_server(Path(tempfile.mkdtemp(prefix="ocunet-pg-")))
    server.psql("CREATE DATABASE ours")
    server.psql("CREATE DATABASE theirs")
    ours, theirs = server.get_uri("ours"), server.get_uri("theirs")
    engine = open_engine(ours)
    upgrade(engine)
    contenders = {"ours": [sys.executable, "-m", "tests.bench.claims", ours]}
    if THEIRS:
        # -P: beside that program lies a queue.py, which is not the standard library's.
        contenders["procrastinate"] = [THEIRS, "-P", str(Path(__file__).with_name("claims_procrastinate.py")), theirs]
    say(f"{COUNT} jobs a round, {ROUNDS} rounds")
    say("workers" + "".join(f"{name:>16}" for name in contenders) + "   ours by theirs")
    for workers in WORKERS:
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(ROUNDS):
            for name, command in list(contenders.items())[:: 1 if number % 2 else -1]:
                subprocess.run([*command, "prepare", str(COUNT)], check=True)
                rates[name].append(COUNT / _drained([*command, "drain"], workers))
        row = f"{workers:7}" + "".join(f"{statistics.median(rates[name]):16.0f}" for name in contenders)
        if THEIRS:
            ratios = [a / b for a, b in zip(rates["ours"], rates["procrastinate"], strict=True)]
            row += f"   {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        say(row)
    engine.dispose()


def _drained(command: list[str], workers: int) -> float:
    """Seconds until nothing is left."""
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(workers)
    ]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for one in running:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    done = 0
    for one in running:
        assert one.stdout is not None
        done += int(one.stdout.readline())
    spent = time.perf_counter() - began
    for one in running:
        one.communicate()
    assert done == COUNT, f"{done} jobs were claimed of {COUNT}"
    return spent


def _work(url: str, what: str, *count: str) -> None:
    """Our side; see `claims_procrastinate`."""
    engine = open_engine(url)
    store = SqlJobs(engine)
    if what == "prepare":
        with engine.begin() as connection:
            first = connection.execute(text("SELECT coalesce(max(subject_id), 0) + 1 FROM jobs")).scalar_one()
            now = store.clock()
            row = {"kind": JobKind.ANALYSE, "state": JobState.WAITING, "attempt": 0, "max_attempts": 3}
            row |= {"run_at": now, "created_at": now}
            connection.execute(jobs.insert(), [row | {"subject_id": first + n} for n in range(int(count[0]))])
        return
    owner, done = f"worker-{os.getpid()}", 0
    store.clock()
    say("ready")
    sys.stdin.readline()
    while (job := store.claim([JobKind.ANALYSE], owner, store.clock(), _LEASE)) is not None:
        assert store.finish(job, Done(), store.clock(), 0.0)
        done += 1
    say(str(done))


if __name__ == "__main__":
    _work(*sys.argv[1:])
