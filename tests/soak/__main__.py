"""The command. It does everything by itself, wants root for the small disk, and ends with 1 if anything is wrong."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import PROJECT
from tests.soak.archive import Arrivals
from tests.soak.cameras import Camera, Outbox, Pace
from tests.soak.faults import Faults, possible
from tests.soak.photographs import Sitting, templates
from tests.soak.site import Site
from tests.soak.summary import Run, as_markdown, as_values, write_section
from tests.soak.timetable import timetable
from tests.soak.verdict import (
    Finding,
    gather,
    judge,
    judge_site,
    let_a_night_pass,
    processes_left,
    reasons_by_fault,
    troubles,
)
from tests.soak.watching import LONG_ENOUGH_SECONDS, Sampler, longest_lives

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.soak.watching import Life

CAMERAS = ("CAMERA-1", "CAMERA-2", "CAMERA-3", "CAMERA-4")
UNFINISHED_STUDIES = 12
"""In all roles' hands at once: enough for two workers with two studies each, and for what waits behind them."""
WAITING_DELIVERIES = 600
DRAIN_SECONDS = 420.0
"""Longer than any wait of ours: of an archive that was away, of a study that is open, of a job that was taken back."""


def main() -> int:
    options = _options()
    began, random_seed = time.monotonic(), options.seed if options.seed is not None else random.randrange(1 << 20)

    def say(what: str) -> None:
        line = f"{time.monotonic() - began:7.1f}  {what}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        with (options.out / "soak.log").open("a") as log:
            log.write(line + "\n")

    options.out.mkdir(parents=True, exist_ok=True)
    if (options.out / "site").exists():
        raise SystemExit(f"{options.out} has a run already: name another folder")
    site = Site(options.out / "site", list(CAMERAS))
    try:
        run = _run(site, options, random_seed, say)
    finally:
        site.close()
    run.findings.append(processes_left(site))
    (options.out / "summary.json").write_text(json.dumps(as_values(run), indent=1) + "\n", "utf-8")
    samples = "".join(f"{row}\n" for life in run.lives for row in life.rows())
    (options.out / "processes.csv").write_text(f"role,pid,seconds,mib,files,threads\n{samples}", "utf-8")
    text = as_markdown(run)
    (options.out / "summary.md").write_text(text, "utf-8")
    if options.docs is not None:
        write_section(options.docs, text)
    sys.stdout.write(text)
    return 0 if run.holds else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=sys.modules["tests.soak"].__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long faults come and photographs are sent")
    parser.add_argument("--seed", type=int, help="of the timetable and the studies; default: a random one, in the log")
    parser.add_argument("--out", type=Path, default=Path("soak-out"), help="folder for logs and summary")
    parser.add_argument("--photographs", type=Path, help="folder with .jpg files to send instead of drawn eyes")
    parser.add_argument("--only", action="append", help="a kind of fault by name; several times for several")
    parser.add_argument("--docs", type=Path, help="page whose generated section the summary becomes")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser.parse_args()


def _run(site: Site, options: argparse.Namespace, seed: int, say: Callable[[str], None]) -> Run:
    minutes, pictures = options.minutes, templates(options.photographs)
    kinds, left_out = possible(site)
    if options.only:
        kinds = [kind for kind in kinds if kind.name in options.only]
    planned = timetable(kinds, minutes * 60, seed)
    say(f"seed {seed}: {len(planned)} faults in {minutes:g} minutes; left out: {', '.join(left_out) or 'none'}")
    site.start()
    say("ready")
    outbox, sampler, arrivals = Outbox(), Sampler(site.services), Arrivals(site.archive)
    pace = Pace(site.database.url, UNFINISHED_STUDIES, WAITING_DELIVERIES)
    began = time.monotonic()
    cameras = [
        Camera(name, site.port, Sitting(seed + number, pictures), outbox, pace.may_begin, seed + number)
        for number, name in enumerate(CAMERAS)
    ]
    for camera in cameras:
        camera.start()
    faults = Faults(site, began, say)
    faults.run(planned, began + minutes * 60)
    say("faults are over; what was begun is being finished")
    over = time.monotonic()
    unfinished = list(pace.unfinished)
    drained = _drain(site, cameras, outbox)
    say("idle" if drained else f"not idle after {DRAIN_SECONDS:g} s")
    restarts = {service.name: service.starts for service in site.services}
    idle_after = time.monotonic() - over if drained else None
    sampler.close()
    let_a_night_pass(site)
    findings = [_idle(site, drained=drained)]
    _wait_until_idle(site, time.monotonic() + DRAIN_SECONDS)
    evidence = gather(site)
    arrivals.close()
    pace.close()
    findings += judge(outbox.studies, evidence)
    findings += judge_site(site, faults.happened, began)
    reloads = [at for one in faults.happened if one.kind == "reloaded" for at in (one.begin, one.end or one.begin)]
    findings += [_flat(sampler.lives, minutes, reloads), _as_planned(faults)]
    say("judged")
    photographs = [one for study in outbox.studies for one in study.all]
    return Run(
        seed=seed,
        minutes=minutes,
        machine=_machine(),
        revision=_revision(),
        day=datetime.now(UTC).date().isoformat(),
        drained_after=idle_after,
        studies=len(outbox.studies),
        photographs=len(photographs),
        late=sum(len(study.late) for study in outbox.studies),
        again=sum(study.again for study in outbox.studies),
        bad=reasons_by_fault(photographs, evidence),
        answers=dict(sorted(outbox.answers.items())),
        unfinished=unfinished,
        happened=faults.happened,
        left_out=left_out,
        reports=[moment - began for moment in arrivals.reports],
        pictures=[moment - began for moment in arrivals.pictures],
        lives=sampler.lives,
        findings=findings,
        troubles=troubles(site),
        restarts=restarts,
    )


def _drain(site: Site, cameras: Sequence[Camera], outbox: Outbox) -> bool:
    """Let cameras send what they began and the daemon finish it; whether it did in time."""
    deadline = time.monotonic() + DRAIN_SECONDS
    for camera in cameras:
        camera.stopping.set()
    for camera in cameras:
        camera.join(max(0.0, deadline - time.monotonic()))
        camera.giving_up.set()
    return _wait_until_idle(site, deadline)


UNDONE = (
    "SELECT (SELECT count(*) FROM studies WHERE open_since IS NOT NULL)"
    " + (SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running'))"
)


def _wait_until_idle(site: Site, deadline: float) -> bool:
    import psycopg

    while time.monotonic() < deadline:
        try:
            with psycopg.connect(site.database.url, connect_timeout=5) as connection:
                row = connection.execute(UNDONE).fetchone()
        except psycopg.Error:
            row = None
        if row == (0,):
            return True
        time.sleep(1.0)
    return False


def _idle(site: Site, *, drained: bool) -> Finding:
    what = f"everything that was begun ended within {DRAIN_SECONDS / 60:g} minutes after the last fault"
    return Finding(what, 1, [] if drained else ["jobs or open studies were left; they stand below where they still do"])


def _flat(lives: Sequence[Life], minutes: float, reloads: Sequence[float]) -> Finding:
    """In a run that is long enough each role must have a life that is."""
    lives = [stretch for life in lives for stretch in life.stretches(reloads)]
    wrong = [what for life in lives for what in life.leaks()]
    if minutes * 60 >= 3 * LONG_ENOUGH_SECONDS:
        wrong += [
            f"no {role} lived long enough to be judged"
            for role, life in longest_lives(lives).items()
            if life.seconds < LONG_ENOUGH_SECONDS
        ]
    return Finding("memory, open files and threads are flat", sum(bool(life.warm()) for life in lives), wrong)


def _as_planned(faults: Faults) -> Finding:
    wrong = [f"{one.kind}: {one.trouble or 'never ended'}" for one in faults.happened if one.trouble or one.end is None]
    return Finding("every fault came and went as planned", len(faults.happened), wrong)


def _machine() -> str:
    processors = len(os.sched_getaffinity(0))
    return f"{processors} processors, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _revision() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    raise SystemExit(main())
