"""Whether the process lives, and whether a study that is sent now would be analysed: each part by its name."""

from __future__ import annotations

import sqlite3
import time
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from ocunet_pacs import settings
from ocunet_pacs.app.database import open_database, prepare_database
from ocunet_pacs.app.health import KEEP_SECONDS, Check, Liveness, Readiness, liveness, model_check, readiness
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.store.files import Files
from tests.pg import drop_database, new_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class TestLive:
    def test_while_loops_turn(self) -> None:
        metrics, clock = Metrics(), Clock(1000.0)
        live = Liveness(metrics, ["listen", "work"], timedelta(seconds=60), clock)
        assert live()[0], "what starts has time"
        for now in (1100.0, 1200.0):
            clock.now = now
            for role in ("listen", "work", "shadow"):
                metrics.set("loop_turn_timestamp_seconds", now - 50, role=role)
            assert live()[0]

    def test_not_when_those_of_one_role_stand_still(self) -> None:
        metrics, clock = Metrics(), Clock(1000.0)
        live = Liveness(metrics, ["listen", "work"], timedelta(seconds=60), clock)
        clock.now = 1061.0
        metrics.set("loop_turn_timestamp_seconds", 1061.0, role="listen")
        well, said = live()
        assert not well
        assert {name: loop["ok"] for name, loop in said["loops"].items()} == {"listen": True, "work": False}
        assert said["loops"]["work"]["still_for_seconds"] == 61.0

    def test_a_clock_that_was_put_back_kills_nobody(self) -> None:
        metrics, clock = Metrics(), Clock(1000.0)
        live = Liveness(metrics, ["work"], timedelta(seconds=60), clock)
        metrics.set("loop_turn_timestamp_seconds", 1000.0, role="work")
        clock.now = -5000.0
        assert live()[0]

    def test_a_device_is_called_hung_before_the_process_is_called_dead(self) -> None:
        slow = settings.from_tree({"model": {"hung_after": "20m"}})
        live = liveness(slow, Metrics(), ["work"])
        live._clock = Clock(live._started + 20 * 60)
        assert live()[0]


class TestReady:
    def test_when_every_part_is_well(self) -> None:
        ready = Readiness({"disk": lambda: Check(ok=True, state="room"), "model": lambda: Check(ok=True, state="warm")})
        well, said = ready()
        assert well
        assert said["problems"] == []
        assert said["checks"]["model"] == {"ok": True, "state": "warm"}

    def test_a_part_that_hangs_or_breaks_is_named_and_holds_up_nobody(self) -> None:
        go_on = Event()

        def hang() -> Check:
            go_on.wait(30)
            return Check(ok=True, state="at last")

        def leak() -> Check:
            raise RuntimeError("Roe^Jane")

        parts = {"database": hang, "disk": lambda: Check(ok=True, state="room"), "store": leak}
        well, said = Readiness(parts, patience=0.05)()
        go_on.set()
        assert not well
        assert said["problems"] == ["database: no answer within 0.05 s", "store: unexpected RuntimeError"]
        assert said["checks"]["disk"]["ok"]

    def test_one_worker_of_several_is_enough_and_the_others_are_named(self) -> None:
        metrics = Metrics()
        assert not model_check(metrics, ["work-0", "work-1"], 1000.0).ok
        metrics.set("model_answer_timestamp_seconds", 995.0, role="work-1")
        found = model_check(metrics, ["work-0", "work-1"], 1000.0)
        assert found.ok
        assert "work-0" in found.state
        assert not model_check(metrics, ["work-0", "work-1"], 1006.0).ok, "silent, it may hang"


class Site:
    """Database and store of a site that works, and the answers of /ready about them."""

    def __init__(self, folder: Path, url: str = "", **store: Any) -> None:
        url = url or f"sqlite:///{folder / 'db' / 'ocunet.db'}"
        chosen = settings.from_tree(
            {"database": {"url": url}, "store": {"path": str(folder / "store"), "min_free": "1 MiB"} | store}
        )
        prepare_database(chosen, upgrade=True)
        self.database = folder / "db" / "ocunet.db"
        self.files = Files(folder / "store")
        self.engine = open_database(chosen)
        ready = readiness(chosen, Metrics(), SqlJobs(self.engine), self.files, ["listen"])
        self.problems = lambda: ready()[1]["problems"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.engine.dispose()


def test_a_site_that_works_is_ready(site: Site) -> None:
    assert site.problems() == []
    assert list(site.files.incoming.iterdir()) == [], "a probe leaves nothing behind"


def test_a_store_that_takes_no_file_is_named(site: Site) -> None:
    site.files.incoming.rename(site.files.root / "elsewhere")
    [problem] = site.problems()
    assert problem.startswith("store: could not write a file")


def test_too_little_room_is_named_with_what_senders_are_told(tmp_path: Path) -> None:
    site = Site(tmp_path, min_free="100000 TiB")
    [problem] = site.problems()
    site.engine.dispose()
    assert problem.startswith("disk: ")
    assert "0xA700" in problem


def test_a_database_of_which_the_lock_cannot_be_had_is_named(site: Site) -> None:
    holder = sqlite3.connect(site.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    problems = site.problems()
    holder.rollback()
    holder.close()
    assert problems == ["database: no answer within 2 s"]


def test_a_schema_that_is_not_this_releases_is_named(site: Site) -> None:
    with sqlite3.connect(site.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")
    connection.close()
    [problem] = site.problems()
    assert problem.startswith("database: the database has schema later")


@pytest.mark.peers
def test_a_postgres_that_is_gone_is_named(tmp_path: Path) -> None:
    url = new_database()
    site = Site(tmp_path, url)
    assert site.problems() == []
    drop_database(url)
    time.sleep(1.1 * KEEP_SECONDS)
    [problem] = site.problems()
    assert problem.startswith("database: the database does not work")
    assert "password" not in problem
    site.engine.dispose()
