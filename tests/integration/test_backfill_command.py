"""`ocunet-pacs backfill` as a person runs it: real processes, an archive in memory, killed and interrupted."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import typer.testing
import yaml

from ocunet_pacs.jobs import migrate
from ocunet_pacs.jobs.engine import open_engine
from tests.daemon import CLEAN_ENVIRONMENT, cli, wait_until
from tests.dcmtk import HOST, free_port
from tests.integration.faulty_archive import FaultyArchive, served
from tests.integration.ledgers import FileLedger
from tests.integration.past_studies import past_study, uids

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Place:
    """Settings, store and database of one installation."""

    def __init__(self, folder: Path, port: int, **backfill: Any) -> None:
        self.config = folder / "ocunet-pacs.yaml"
        self.database = folder / "ocunet.db"
        self.store = folder / "store"
        archive = {"name": "pacs", "ae_title": "FAULTY", "host": HOST, "port": port, "timeout": "20s"}
        self.config.write_text(
            yaml.safe_dump(
                {
                    "database": {"url": f"sqlite:///{self.database}"},
                    "store": {"path": str(self.store), "min_free": "1 MiB"},
                    "archives": [archive, {**archive, "name": "other"}],
                    "backfill": {"studies_per_minute": 1e6, **backfill},
                }
            )
        )
        engine = open_engine(f"sqlite:///{self.database}")
        migrate.upgrade(engine)
        engine.dispose()

    def run(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        return cli("backfill", *arguments, "--config", self.config, check=check)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ocunet_pacs", "backfill", *arguments, "--config", str(self.config)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN_ENVIRONMENT, cwd="/"
        )

    def received(self) -> list[str]:
        with self.rows() as ledger:
            return [row["sop_instance_uid"] for row in ledger.rows()]

    @contextmanager
    def rows(self) -> Iterator[FileLedger]:
        ledger = FileLedger(self.database)
        yield ledger
        ledger.close()


FETCH = ("--from", "pacs", "--date", "2024-03")


def test_fetches_lists_and_says_how_it_went(tmp_path: Path) -> None:
    studies = [past_study(f"202403{day:02}") for day in (1, 2)] + [past_study("20240402")]
    archive = FaultyArchive(studies, get_status=[0xA702])
    with served(archive) as port:
        place = Place(tmp_path, port)
        dry = place.run(*FETCH, "--dry-run", "--json")
        assert json.loads(dry.stdout)["months"] == {"2024-03": {"to_fetch": 2, "failed": 0, "done": 0}}
        assert place.received() == [], "a dry run fetches nothing"
        first = place.run(*FETCH, check=False)
        assert first.returncode == 1
        assert "fetched 1 studies (2 images), 1 failed" in first.stdout
        assert "backfill list --from pacs --state failed" in first.stderr
        [failed] = json.loads(place.run("list", "--state", "failed", "--json").stdout)
        assert "0xA702" in failed["reason"]
        again = place.run("--from", "pacs", "--json")
        assert json.loads(again.stdout)["fetched"] == 1, "without a range it goes on with what was found"
        assert place.run(*FETCH).stdout.strip() == "fetched 0 studies (0 images), 2 done before"
    counts = json.loads(place.run("status", "--json").stdout)
    assert counts["pacs"]["fetched"] == 2
    assert sum(counts["other"].values()) == 0
    assert set(place.received()) == uids(*studies[:2])


def test_no_word_of_a_patient_is_said_or_logged(tmp_path: Path) -> None:
    studies = [past_study("20240301")]
    with served(FaultyArchive(studies)) as port:
        place = Place(tmp_path, port)
        done = place.run(*FETCH)
    said = done.stdout + done.stderr
    assert "instance_stored" in said
    assert not [word for word in ("Testperson", "Erika", "4711", "20240301") if word in said]
    rows = place.database.read_bytes()
    assert b"Testperson" not in rows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "nobody", "--date", "2024"), "known: pacs, other"),
        (("--from", "pacs", "--date", "yesterday"), "expected 2024"),
        (("--date", "2024"), "name an archive"),
        (("--from", "pacs", "--dry-run"), "needs a range"),
        (("--from", "pacs", "--date", "2024", "--modality", "O P"), "is no modality"),
    ],
)
def test_what_cannot_be_run_ends_with_status_2_and_says_why(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    from ocunet_pacs.cli.main import app
    from ocunet_pacs.domain.errors import ConfigError

    place = Place(tmp_path, free_port())
    done = typer.testing.CliRunner().invoke(app, ["backfill", *arguments, "--config", str(place.config)])
    if isinstance(done.exception, ConfigError):  # which `run` turns into status 2
        assert said in str(done.exception)
    else:
        assert done.exit_code == 2
        assert said in " ".join(done.output.replace("│", " ").split())


def test_a_kill_loses_nothing_and_no_study_comes_twice(tmp_path: Path) -> None:
    studies = [past_study(f"202403{day:02}", images=6) for day in range(1, 10)]
    archive = FaultyArchive(studies, delay=0.05)
    with served(archive) as port:
        place = Place(tmp_path, port)
        for kill in range(2):
            process = place.start(*FETCH)
            # In the middle of a study: six images each, after a number that six does not divide.
            wait_until(lambda: len(place.received()) >= 8 + 16 * kill, "objects to arrive", 60)  # noqa: B023
            process.kill()
            process.communicate(timeout=30)
        whole = {row["study"] for row in json.loads(place.run("list", "--state", "fetched", "--json").stdout)}
        assert whole
        archive.delay = 0
        archive.retrieved.clear()
        last = place.run(*FETCH, "--json")
    assert json.loads(last.stdout)["known"] == len(whole)
    assert not whole & set(archive.retrieved), "what was whole is not fetched again"
    assert Counter(place.received()) == Counter(uids(*studies))
    stored = [path for path in (place.store / "instances").rglob("*") if path.is_file()]
    # A kill between the file and its row leaves a file that the archive was told nothing of, and sends again.
    assert 9 * 6 <= len(stored) <= 9 * 6 + 2


def test_an_interrupt_ends_after_the_study_and_says_how_to_go_on(tmp_path: Path) -> None:
    studies = [past_study(f"202403{day:02}", images=3) for day in range(1, 10)]
    with served(FaultyArchive(studies, delay=0.05)) as port:
        place = Place(tmp_path, port)
        process = place.start(*FETCH)
        wait_until(place.received, "the first object", 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "to go on: run the same command again" in err
        assert len(place.received()) % 3 == 0, "the study was finished"
        assert place.run(*FETCH).returncode == 0
    assert Counter(place.received()) == Counter(uids(*studies))
    assert out.startswith("fetched ")


def test_hours_that_are_over_are_waited_for_with_a_word(tmp_path: Path) -> None:
    from datetime import datetime, timedelta

    import tzlocal

    later = datetime.now(tzlocal.get_localzone()) + timedelta(hours=3)
    hours = f"{later:%H:%M}-{later + timedelta(hours=1):%H:%M}"
    with served(FaultyArchive([past_study("20240301")])) as port:
        place = Place(tmp_path, port, hours=hours)
        process = place.start(*FETCH)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"the hours begin at {later:%H:%M}" in line
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert place.received() == []


def test_an_archive_that_is_down_ends_with_status_1_and_what_to_check(tmp_path: Path) -> None:
    place = Place(tmp_path, free_port())
    done = place.run(*FETCH, "--dry-run", check=False)
    assert done.returncode == 1
    assert "check that the archive runs" in done.stderr


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    with served(FaultyArchive([past_study("20240301"), past_study("20240302")])) as port:
        place = Place(tmp_path, port)
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "ocunet_pacs", "backfill", *FETCH, "--config", str(place.config)]
        environment = {**CLEAN_ENVIRONMENT, "TERM": "xterm-256color", "COLUMNS": "160"}
        with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, cwd="/") as process:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    block = os.read(ours, 1 << 16)
                except OSError:  # the other end was closed
                    break
                if not block:
                    break
                shown += block
        os.close(ours)
    text = shown.decode(errors="replace")
    assert process.returncode == 0, text
    assert "2 fetched, 0 skipped" in text
    assert "/min" in text
    assert "100%" in text
    assert "instance_stored" not in text
