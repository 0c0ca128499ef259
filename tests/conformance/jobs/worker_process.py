"""A worker in a process of its own, for the tests that kill it: `python -m … ROLE URL [N]`.

claim     claims a job, says so, and waits to be killed
record    records images without end and names each once its row is there
probe     waits for a line, then finds twenty destinations down and would try twenty; says what it was told
finish N  finishes its analysis, but dies (SIGKILL) just before the N-th statement; says how many there were
          when it got to the end
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from itertools import count
from typing import TYPE_CHECKING

from sqlalchemy import event

from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.reaper import owner_name
from ocunet_pacs.jobs.sql import SqlJobs
from tests.conformance.jobs.builders import LEASE, NOW, SECOND, claimed, image, output, to

if TYPE_CHECKING:
    from sqlalchemy import Engine


def claim(store: SqlJobs) -> None:
    job = claimed(store, owner_name("work"))
    say(str(job.attempt))
    time.sleep(600)


def record(store: SqlJobs) -> None:
    for number in count():
        assert store.record_instance(image(f"1.{number}"))
        say(f"1.{number}")


def finish(engine: Engine, store: SqlJobs, last: int) -> None:
    job = claimed(store, owner_name("work"))
    statements = count(1)

    def die(*_: object) -> None:
        if next(statements) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", die)
    event.listen(engine, "commit", die)
    store.finish_analysis(
        job,
        key="a key",
        result="{}",
        outputs=to(["pacs"], output("2.25.1"), output("2.25.2")),
        expected_predecessor=None,
        delivery_attempts=3,
        now=NOW,
    )
    say(str(next(statements) - 1))


def probe(store: SqlJobs) -> None:
    say("ready")
    sys.stdin.readline()
    answers = []
    for number in range(20):
        told = store.note_down("pacs" if number == 0 else f"pacs {number}", "refused", NOW, SECOND)
        answers.append({"told": told, "may": store.may_try(f"down {number}", NOW + SECOND, LEASE) is None})
    say(json.dumps(answers))


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    role, url, *rest = sys.argv[1:]
    engine = open_engine(url)
    store = SqlJobs(engine)
    if role == "finish":
        finish(engine, store, int(rest[0]))
    else:
        {"claim": claim, "record": record, "probe": probe}[role](store)


if __name__ == "__main__":
    main()
