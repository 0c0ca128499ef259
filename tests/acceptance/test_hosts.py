"""Three hosts, one PostgreSQL, one store: one host is cut off in the middle of its work, and one loses its power."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from ocunet_pacs.store.files import Files
from tests.acceptance.pacs import Contents
from tests.daemon import wait_until
from tests.hosts import why_not
from tests.many_hosts import draw_studies, many_hosts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hosts import Host
    from tests.many_hosts import ManyHosts

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

STUDIES = 9
PASS_SECONDS = 1.0
WRONG_BY_SECONDS = 600.0


@pytest.mark.skipif(bool(why_not()), reason=f"no hosts can be made here: {why_not()}")
def test_every_study_has_one_result_whatever_becomes_of_two_hosts_of_three(
    untrained_bundle: Path, tmp_path: Path
) -> None:
    studies = draw_studies(tmp_path, STUDIES)
    with many_hosts(tmp_path, untrained_bundle, 3, lease="8s") as ours:
        good, loses_power, cut_off = ours.hosts
        ours.start(good, "listen", "work", "deliver", seconds=PASS_SECONDS)
        ours.start(loses_power, "listen", "work", seconds=PASS_SECONDS)
        ours.start(cut_off, "work", seconds=PASS_SECONDS, ahead=WRONG_BY_SECONDS)
        for host, event in ((good, "listening"), (loses_power, "listening"), (cut_off, "working")):
            wait_until(partial(has_logged, host, event), f"{host.name} to be {event}")
        for number, study in enumerate(studies):
            assert ours.send((good, loses_power)[number % 2], study)
        orphans = {in_mid_run(ours, cut_off, cut_off.cut), in_mid_run(ours, loses_power, loses_power.kill)}
        assert "jobs_taken_back" not in cut_off.log_text(), "its clock is ahead by more than a lease"
        wait_until(lambda: len(list(ours.archive.iterdir())) == 3 * STUDIES, "all results to arrive")
        cut_off.mend()
        wait_until(partial(has_logged, cut_off, "job_lost"), "the host that was away to hear that it lost its job")
        wait_until(lambda: ours.unfinished() == 0, "the queue to be empty")
        attempts = dict(ours.ask("SELECT id, attempt FROM jobs WHERE kind = 'analyse'"))
        assert len(attempts) == STUDIES
        assert {attempts[job] for job in orphans} == {2}
        assert ours.ask("SELECT DISTINCT state FROM jobs") == [("done",)]
        assert ours.ask("SELECT count(*), count(DISTINCT study_id), count(DISTINCT key) FROM analyses") == [
            (STUDIES, STUDIES, STUDIES)
        ]
        sent = Contents.read(ours.archive.iterdir())
        key_of = dict(ours.ask("SELECT sop_instance_uid, file_key FROM outputs"))
        files = Files(ours.store)
    assert len({report.StudyInstanceUID for report in sent.reports}) == len(sent.reports) == STUDIES
    assert len(sent.heatmaps) == 2 * STUDIES
    for thing in (*sent.reports, *sent.heatmaps):
        kept = dcmread(files.path(key_of[thing.SOPInstanceUID]))
        assert kept == thing, "what is kept is what was sent: nobody who came late has replaced it"


def has_logged(host: Host, event: str) -> bool:
    return f'"{event}"' in host.log_text()


def in_mid_run(ours: ManyHosts, host: Host, strike: Callable[[], None]) -> int:
    """Do that to the host as soon as it has begun another study; the job that it leaves behind."""
    before = set(ours.running_at(host))
    [job] = wait_until(lambda: set(ours.running_at(host)) - before, f"{host.name} to begin a study")
    strike()
    time.sleep(0.2)
    assert ours.running_at(host) == [job], "it was done before it was struck"
    return int(job)
