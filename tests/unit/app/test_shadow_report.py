"""`shadow report` and the shadow's part of `status`, as the data scientist and the person on call see them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from ocunet_pacs import settings
from ocunet_pacs.app.status import status
from ocunet_pacs.cli import shadow
from ocunet_pacs.cli.status import _shadow
from ocunet_pacs.domain.job import JobKind, Never
from ocunet_pacs.domain.result import BundleRef, ImageResult, LabelScore, StudyResult
from ocunet_pacs.domain.shadow import Candidate, ShadowFrame
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.logs import study_digest
from ocunet_pacs.model.manifest import MANIFEST, Manifest
from tests.conformance.jobs.builders import LEASE, output, queued, to
from tests.conftest import PROJECT
from tests.integration.ledgers import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

YESTERDAY = datetime.now(UTC) - timedelta(days=1)
ACTIVE = BundleRef("active", "a" * 64, trained=True, temperature=1.0)


def write_manifest(folder: Path, *, trained: bool = True) -> Candidate:
    """A bundle of which nothing but the manifest is there."""
    labels = ("DR", "ARMD")
    manifest = Manifest(
        name="retrained",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        architecture="efficientnet_b3",
        labels=labels,
        preprocess=PreprocessSpec(),
        temperature=1.0,
        thresholds=dict.fromkeys(labels, 0.5),
        calibrated=True,
        trained=trained,
    ).sealed("0" * 64)
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    return Candidate(manifest.digest, "default", manifest.name)


def scores(**probabilities: float) -> tuple[LabelScore, ...]:
    return tuple(LabelScore(label, 0.0, p, 0.5, positive=p >= 0.5) for label, p in probabilities.items())


class Site:
    """Studies of one image that the active bundle reported on, and a candidate."""

    def __init__(self, folder: Path) -> None:
        self.config, self.bundle = folder / "settings.yaml", folder / "candidate"
        self.tree: dict[str, Any] = {
            "database": {"url": f"sqlite:///{folder / 'rows.db'}"},
            "store": {"path": str(folder / "store")},
            "shadow": {"bundle": str(self.bundle)},
        }
        self.config.write_text(yaml.safe_dump(self.tree))
        self.candidate = write_manifest(self.bundle)
        self.engine = open_database(folder / "rows.db")
        self.jobs = SqlJobs(self.engine)

    def report_study(self, study: str, at: datetime = YESTERDAY, **probabilities: float) -> None:
        queued(self.jobs, study, at)
        job = self.jobs.claim([JobKind.ANALYSE], "work", at, LEASE)
        assert job is not None
        image = ImageResult(f"{study}.1.1", "1.2", None, 1, Laterality.RIGHT, scores(**probabilities))
        self.jobs.finish_analysis(
            job,
            key=study,
            result=json.dumps(asdict(StudyResult(study, 1, study, ACTIVE, (image,)))),
            outputs=to([], output(f"2.25.{study}")),
            expected_predecessor=None,
            delivery_attempts=1,
            now=at,
        )

    def look(self, *, reason: ReasonCode | None = None, fails: str = "", **probabilities: float) -> int:
        """The candidate's at the newest study that it has not seen; the job's id."""
        assert self.jobs.enlist(self.candidate, datetime(2020, 1, 1, tzinfo=UTC), YESTERDAY, 1) is not None
        job = self.jobs.claim([JobKind.SHADOW], "shadow", YESTERDAY, LEASE)
        assert job is not None
        if fails:
            self.jobs.finish(job, Never(fails), YESTERDAY, 0.0)
        else:
            analysis = self.jobs.analysis(self.jobs.look(job.subject_id).analysis_id)
            frame = ShadowFrame(f"{analysis.study_instance_uid}.1.1", None, scores(**probabilities), reason)
            assert self.jobs.finish_look(job, [frame], YESTERDAY)
        return job.id

    def call(self, *arguments: str) -> Result:
        command = ["report", *arguments, "--config", str(self.config)]
        return CliRunner().invoke(shadow.app, command, catch_exceptions=False, env={"COLUMNS": "200"})

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call("--json", *arguments).output)
        return found

    def status(self) -> dict[str, Any]:
        return status(settings.from_tree(self.tree))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.engine.dispose()


@pytest.fixture
def watched(site: Site) -> Site:
    """Five studies: three that both scored, one that the candidate could not use, one at which it failed."""
    for number, said in enumerate((0.9, 0.8, 0.1, 0.7, 0.6, 0.4)):
        site.report_study(f"1.2.{number}", YESTERDAY - timedelta(days=number), DR=said, MH=0.1)
    site.look(DR=0.8, ARMD=0.2)
    site.look(DR=0.3, ARMD=0.2)
    site.look(DR=0.2, ARMD=0.2)
    site.look(reason=ReasonCode.UNGRADABLE)
    site.look(fails="[CUDA] out of memory")
    return site


def test_the_report_counts_what_agrees_what_parts_and_what_is_missing(watched: Site) -> None:
    found = watched.json()
    assert found["candidate"] == asdict(watched.candidate)
    assert found["active"] == {"digest": "a" * 64, "operating_point": "default", "name": "active"}
    assert found["studies"] == {"compared": 4, "waiting": 1, "nothing_to_compare": 0, "failed": 1}
    assert found["images"] == {"compared": 3, "same_positives": 2, "not_scored": {"ungradable": 1}}
    assert found["failures"] == {"[CUDA] out of memory": 1}
    assert (found["only_active"], found["only_candidate"]) == (["MH"], ["ARMD"])
    [label] = found["labels"]
    assert (label["label"], label["both"], label["only_active"], label["only_candidate"], label["neither"]) == (
        *("DR", 1, 1, 0, 1),
    )
    assert label["agreement"] == pytest.approx(2 / 3)
    assert label["mean_difference"] == pytest.approx((-0.1 - 0.5 + 0.1) / 3)
    assert label["stability"] is None, "three images say nothing of drift"
    assert label["first_half"]["images"] + label["second_half"]["images"] == 3


def test_the_page_names_every_part_of_the_json(watched: Site) -> None:
    page = (PROJECT / "docs" / "shadow.md").read_text(encoding="utf-8")
    found = watched.json()
    parts = [found, found["candidate"], found["studies"], found["images"], found["labels"][0], found["furthest"][0]]
    assert not {key for part in parts for key in part if key not in page}


def test_the_tables_say_the_same_and_name_no_study(watched: Site) -> None:
    text = watched.call().output
    for words in (
        f"candidate             retrained {watched.candidate.digest[:12]}, operating point default",
        "4 compared, 1 to do, 1 failed",
        "3 compared; the same labels positive in 66.7%",
        "1 images: ungradable",
        "1 studies: [CUDA] out of memory",
        "only active knows     MH",
        "only candidate knows  ARMD",
        study_digest("1.2.1"),
    ):
        assert words in text
    row = next(line for line in text.splitlines() if line.startswith("DR"))
    assert row.split()[:7] == ["DR", "3", "1", "1", "0", "1", "66.7%"]
    for line in (text, json.dumps(watched.json())):
        assert "1.2.1" not in line.replace(study_digest("1.2.1"), "")


def test_the_job_of_a_difference_leads_a_person_to_the_study(watched: Site) -> None:
    [first, *_] = watched.json()["furthest"]
    assert (first["study"], first["label"], first["active"], first["candidate"]) == (
        *(study_digest("1.2.1"), "DR", 0.8, 0.3),
    )
    job = watched.jobs.get(first["job"])
    assert job is not None
    assert watched.jobs.describe(job) == {
        "study": "1.2.1",
        "revision": "1",
        "candidate": watched.candidate.digest[:12],
    }


def test_only_since_a_day(watched: Site) -> None:
    day = (YESTERDAY - timedelta(days=1, hours=1)).astimezone().strftime("%Y-%m-%dT%H:%M")
    assert watched.json("--since", day)["images"]["compared"] == 2


def test_an_earlier_candidate_has_its_report_still(watched: Site) -> None:
    earlier = watched.candidate.digest
    watched.candidate = write_manifest(watched.bundle, trained=False)
    now = watched.json()
    assert now["candidate"]["digest"] == watched.candidate.digest
    assert (now["active"], now["labels"], now["studies"]["waiting"]) == (None, [], 6)
    before = watched.json("--bundle", earlier[:8])
    assert before["candidate"]["digest"] == earlier
    assert before["images"]["compared"] == 3
    assert before["studies"]["waiting"] is None, "it is not in the shadow now"
    assert "nothing yet" in watched.call().output


def test_another_active_bundle_is_asked_for_by_its_digest(watched: Site) -> None:
    assert watched.json("--active", "aaaa")["images"]["compared"] == 3
    none = watched.json("--active", "bbbb")
    assert none["active"] is None
    assert none["left_out"] == [{"digest": "a" * 64, "operating_point": "default", "name": "active", "images": 3}]


def test_nobody_ever_looked(site: Site) -> None:
    site.tree["shadow"] = {}
    site.config.write_text(yaml.safe_dump(site.tree))
    none = site.call()
    assert none.exit_code == 1
    assert "no candidate has looked at anything here" in none.output


def test_a_digest_that_nobody_has_is_answered_with_those_that_are_known(watched: Site) -> None:
    none = watched.call("--bundle", "fffffffff")
    assert none.exit_code == 1
    assert watched.candidate.digest[:12] in none.output


class TestStatus:
    def test_how_far_behind_it_is_and_that_nobody_waits_for_it(self, watched: Site) -> None:
        found = watched.status()
        shadow = found["shadow"]
        assert shadow["bundle"] == {"name": "retrained", "digest": watched.candidate.digest, "trained": True}
        assert shadow["problem"] is None
        assert (shadow["done"], shadow["failed"], shadow["waiting"], shadow["running"]) == (4, 1, 1, 0)
        assert shadow["last_look"] == YESTERDAY.isoformat(timespec="seconds")
        assert found["dead"] == [], "a person has nothing to do"
        assert "4 studies looked at, 1 to do, 1 failed" in _shadow(shadow)

    def test_why_it_does_not_run_is_no_problem_of_the_service(self, watched: Site) -> None:
        write_manifest(watched.bundle, trained=False)
        found = watched.status()
        assert "untrained" in found["shadow"]["problem"]
        assert "does not run: its weights are untrained" in _shadow(found["shadow"])
        (watched.bundle / MANIFEST).unlink()
        found = watched.status()
        assert found["shadow"]["bundle"] is None
        assert "cannot be read" in _shadow(found["shadow"])
        assert not any("candidate" in problem for problem in found["problems"])

    def test_thresholds_that_it_does_not_have(self, watched: Site) -> None:
        watched.tree["shadow"]["operating_point"] = "screening"
        assert "screening" in watched.status()["shadow"]["problem"]

    def test_without_a_database_it_is_named_all_the_same(self, watched: Site, tmp_path: Path) -> None:
        watched.tree["database"] = {"url": f"sqlite:///{tmp_path / 'empty.db'}"}
        shadow = watched.status()["shadow"]
        assert (shadow["bundle"]["name"], shadow["waiting"]) == ("retrained", None)
        assert "retrained" in _shadow(shadow)

    def test_without_a_candidate_there_is_nothing_to_say(self, site: Site) -> None:
        site.tree["shadow"] = {}
        assert site.status()["shadow"] is None
