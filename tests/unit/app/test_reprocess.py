"""`reprocess` as a person types it: which studies get another revision, and which are left as they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import yaml

from ocunet_pacs.domain.job import BACKGROUND, Done, JobKind, JobState
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.store.files import Files
from tests.daemon import cli
from tests.integration.ledgers import open_database
from tests.integration.waiting_results import queue_results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECEIVED = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Site:
    """Three studies that one bundle reported on."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "settings.yaml"
        tree = {"database": {"url": f"sqlite:///{folder / 'rows.db'}"}, "store": {"path": str(folder / "store")}}
        self.config.write_text(yaml.safe_dump(tree))
        self.engine = open_database(folder / "rows.db")
        self.jobs = SqlJobs(self.engine)
        queue_results(self.jobs, Files(folder / "store"), folder / "made", 3, ["pacs"], RECEIVED)

    def studies(self) -> list[str]:
        return [study.study_instance_uid for study in self.jobs.studies_like()]

    def waiting(self) -> int:
        return self.jobs.counts().get((JobKind.ANALYSE, JobState.WAITING), 0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.engine.dispose()


def test_a_study_that_is_named_gets_one_more_revision_and_only_one(site: Site) -> None:
    study = site.studies()[0]
    assert "1 studies wait" in cli("reprocess", study, "--config", site.config).stdout
    again = cli("reprocess", study, "--config", site.config)
    assert "0 studies wait" in again.stdout
    assert "1 left as they are: open, waiting for an analysis already" in again.stdout
    assert site.waiting() == 1
    (job,) = site.jobs.find(kind=JobKind.ANALYSE, state=JobState.WAITING)
    assert job.priority == BACKGROUND, "today's patients come first"
    assert site.jobs.analysis(job.subject_id).revision == 2


def test_a_bundle_names_everything_that_it_reported(site: Site) -> None:
    assert "0 studies wait" in cli("reprocess", "--bundle", "cc", "--config", site.config).stdout
    assert "3 studies, 0 of them" in cli("reprocess", "--bundle", "bbbb", "--dry-run", "--config", site.config).stdout
    assert site.waiting() == 0
    assert "3 studies wait" in cli("reprocess", "--bundle", "bbbb", "--config", site.config).stdout
    assert site.waiting() == 3


@pytest.mark.parametrize(("since", "studies"), [("2026-02-27", 3), ("2026-03-03", 0)])
def test_a_day_names_what_came_since(site: Site, since: str, studies: int) -> None:
    assert f"{studies} studies wait" in cli("reprocess", "--since", since, "--config", site.config).stdout


def test_a_study_that_is_not_here_or_has_no_files_is_said_and_is_a_failure(site: Site) -> None:
    unknown = cli("reprocess", "1.2.3", "--config", site.config, check=False)
    assert unknown.returncode == 1
    assert "1.2.3: no such study" in unknown.stderr
    while (job := site.jobs.claim([JobKind.DELIVER], "me", RECEIVED, timedelta(minutes=5))) is not None:
        site.jobs.finish(job, Done("stored"), RECEIVED, 0.0)
    for study in site.jobs.removable_studies(RECEIVED + timedelta(days=1), None, 10):
        site.jobs.mark_removed(study.id, RECEIVED)
    gone = cli("reprocess", site.studies()[0], "--config", site.config, check=False)
    assert gone.returncode == 1
    assert "1 left as they are: their files are no longer kept" in gone.stdout
    assert site.waiting() == 0


def test_nothing_is_asked_for_by_accident(site: Site) -> None:
    assert cli("reprocess", "--config", site.config, check=False).returncode == 2
    assert site.waiting() == 0
