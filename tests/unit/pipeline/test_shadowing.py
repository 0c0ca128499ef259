"""A candidate in the shadow: it sees what the active bundle scored, patients go first, and nobody hears of it."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from ocunet_pacs.domain.audit import Accessed
from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.domain.gates import Verdict
from ocunet_pacs.domain.job import Done, JobKind, JobState, Never
from ocunet_pacs.domain.result import Classification
from ocunet_pacs.domain.shadow import Candidate
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.pipeline.loop import Loop
from ocunet_pacs.pipeline.shadowing import ShadowRule, ShadowTools, find_work, shadow
from tests.unit.pipeline.fakes import OP, Classifier, Reader
from tests.unit.pipeline.test_steps import LEASE, House


class Shadowed:
    """A house with a candidate in its shadow."""

    def __init__(self, house: House | None = None) -> None:
        self.house = house or House("pacs")
        self.reader, self.candidate = Reader(), Classifier(positive=False, digest="c" * 64)
        self.verdicts: dict[str, Verdict] = {}
        self.rule = ShadowRule(timedelta(days=14), attempts=2)
        self.pauses = 0
        self.while_paused = lambda: None

    def pause(self) -> None:
        self.pauses += 1
        assert self.pauses < 100
        self.while_paused()

    def tools(self) -> ShadowTools:
        return ShadowTools(
            looks=self.house.jobs,
            ledger=self.house.jobs,
            files=self.house.files,
            reader=self.reader,
            eligibility=lambda header, source: self.verdicts.get(header.sop_instance_uid, Verdict()),
            classifier=self.candidate,
            rule=self.rule,
            batch_size=2,
            clock=self.house.clock,
            pause=self.pause,
            count=self.house.count,
            audit=self.house.told.append,
        )

    def reported(self, *numbers: int) -> None:
        """One more revision of the study, analysed."""
        self.house.receive(*numbers)
        self.house.close()
        assert self.house.analyse() is None

    def look(self):
        assert find_work(self.tools())
        return shadow(self.house.claim(JobKind.SHADOW), self.tools(), lambda: None)

    def frames(self):
        [past] = self.house.jobs.past_looks(Candidate.of(self.candidate.bundle), None, 0, 10)
        return past.frames

    def loop(self, stop: threading.Event | None = None) -> Loop:
        return Loop(
            self.house.jobs,
            [JobKind.SHADOW],
            lambda job, alive: shadow(job, self.tools(), alive),
            owner="shadow",
            stop=stop or threading.Event(),
            clock=self.house.clock,
            random=lambda: 0.5,
            lease=LEASE,
            poll=timedelta(0),
            may_claim=lambda: find_work(self.tools()),
        )


def outward(house: House) -> tuple[object, ...]:
    """All that leaves the house, or could: files, outputs, deliveries, reports, and what of the queue is not a look."""
    jobs = [job for job in house.jobs.find(limit=1000) if job.kind is not JobKind.SHADOW]
    deliveries = [house.jobs.delivery(job.subject_id) for job in jobs if job.kind is JobKind.DELIVER]
    results = [house.jobs.analysis(job.subject_id).result for job in jobs if job.kind is JobKind.ANALYSE]
    jobs = [replace(job, id=0) for job in jobs]  # looks are numbered with them
    return dict(house.files.content), list(house.jobs.output_uids()), deliveries, results, jobs, house.reporter.results


def test_every_scored_frame_is_looked_at_with_the_candidates_own_eyes() -> None:
    site = Shadowed()
    site.house.reader.frames_of["1.2.1.2"] = site.reader.frames_of["1.2.1.2"] = 3
    site.reported(1, 2, 3)
    assert site.look() is None
    assert [(frame.sop_instance_uid, frame.frame) for frame in site.frames()] == [
        ("1.2.1.1", None),
        ("1.2.1.2", 1),
        ("1.2.1.2", 2),
        ("1.2.1.2", 3),
        ("1.2.1.3", None),
    ]
    assert all(not frame.scores[0].positive for frame in site.frames()), "the active one says positive of all"
    assert site.candidate.batches == [2, 2, 1]
    assert not find_work(site.tools()), "it looks once"
    assert site.house.counted["shadow_images", "scored"] == 5


def test_nothing_that_leaves_the_house_is_other_than_without_a_shadow() -> None:
    alone, watched = House("pacs"), Shadowed()
    for house, look in ((alone, lambda: None), (watched.house, watched.look)):
        for numbers in ((1, 2), (3,)):
            house.receive(*numbers)
            house.close()
            house.analyse()
            look()
    assert outward(watched.house) == outward(alone)
    assert watched.house.jobs.counts()[JobKind.SHADOW, JobState.DONE] == 2


def test_the_audit_trail_is_told_of_a_look_as_of_an_analysis() -> None:
    shadowed = Shadowed()
    shadowed.reported(1, 2)
    analysed = shadowed.house.told.copy()
    assert shadowed.look() is None
    (looked,) = shadowed.house.told[len(analysed) :]
    assert isinstance(looked, Accessed)
    assert looked.instances == ((OP, 2),)


def test_what_the_active_bundle_did_not_score_is_not_read() -> None:
    site = Shadowed()
    site.house.reader.broken["1.2.1.2"] = ReasonCode.UNREADABLE_PIXELS
    site.reported(1, 2)
    asked = []
    site.reader.header = lambda path, read=site.reader.header: asked.append(path.name) or read(path)
    assert site.look() is None
    assert asked == ["1.2.1.1"]
    assert [frame.sop_instance_uid for frame in site.frames()] == ["1.2.1.1"]


def test_a_study_of_which_nothing_was_scored_is_done_with_a_word() -> None:
    site = Shadowed()
    site.house.reader.broken["1.2.1.1"] = ReasonCode.UNREADABLE_PIXELS
    site.reported(1)
    assert site.look() == Done("the active bundle scored nothing")


def test_what_the_candidate_cannot_use_has_its_reason() -> None:
    site = Shadowed()
    site.house.reader.frames_of["1.2.1.2"] = site.reader.frames_of["1.2.1.2"] = 4
    site.reported(1, 2, 3)
    site.reader.broken["1.2.1.1"] = ReasonCode.DECODER_FAILED
    site.reader.broken_after["1.2.1.2"] = 2
    site.verdicts["1.2.1.3"] = Verdict(stop=Reason(ReasonCode.CHILD, "the site closed this gate since"))
    assert site.look() is None
    assert [(frame.frame, frame.reason, bool(frame.scores)) for frame in site.frames()] == [
        (None, ReasonCode.DECODER_FAILED, False),
        (1, None, True),
        (2, None, True),
        (3, ReasonCode.UNREADABLE_PIXELS, False),
        (4, ReasonCode.UNREADABLE_PIXELS, False),
        (None, ReasonCode.CHILD, False),
    ]


def test_its_own_quality_limits_count() -> None:
    site = Shadowed()
    site.reported(1)
    blurred = Reason(ReasonCode.UNGRADABLE, "blurred")
    site.reader.photographs = lambda path: iter([replace(next(Reader().photographs(path)), reasons=(blurred,))])
    assert site.look() is None
    [frame] = site.frames()
    assert frame.reason is ReasonCode.UNGRADABLE
    [past] = site.house.jobs.past_looks(Candidate.of(site.candidate.bundle), None, 0, 10)
    assert past.note == "0 of 1 images scored; 1 ungradable"


def test_files_that_went_between_enlisting_and_looking() -> None:
    site = Shadowed()
    site.reported(1)
    assert find_work(site.tools())
    delivery = site.house.claim(JobKind.DELIVER)
    while delivery is not None:
        site.house.jobs.finish(delivery, Done(), site.house.clock(), 0.0)
        delivery = site.house.jobs.claim([JobKind.DELIVER], "me", site.house.clock(), LEASE)
    assert site.house.jobs.mark_removed(1, site.house.clock())
    assert shadow(site.house.claim(JobKind.SHADOW), site.tools(), lambda: None) is None
    [frame] = site.frames()
    assert frame.reason is ReasonCode.FILE_REMOVED


def test_only_the_window_is_looked_at() -> None:
    site = Shadowed()
    site.reported(1)
    site.house.clock.forward(15 * 86400)
    assert not find_work(site.tools())


def test_a_look_of_another_candidate_is_left() -> None:
    site = Shadowed()
    site.reported(1)
    assert find_work(site.tools())
    site.candidate = Classifier(digest="d" * 64)
    outcome = shadow(site.house.claim(JobKind.SHADOW), site.tools(), lambda: None)
    assert isinstance(outcome, Done)
    assert "another candidate than cccccccccccc" in str(outcome.note)
    assert site.candidate.batches == []


class TestPatientsGoFirst:
    def test_nothing_is_begun_while_an_analysis_waits_or_runs(self) -> None:
        site = Shadowed()
        site.reported(1)
        site.house.receive(2)
        site.house.close()
        assert not find_work(site.tools())
        job = site.house.claim()
        assert not site.loop().once()
        assert site.house.analyse(job) is None
        assert site.loop().once()

    def test_what_was_begun_stands_aside_between_two_passes(self) -> None:
        site = Shadowed()
        site.reported(1, 2, 3, 4)
        assert find_work(site.tools())
        job = site.house.claim(JobKind.SHADOW)
        site.house.receive(5)
        site.house.close()
        alive = []

        def patient_is_seen() -> None:
            assert site.candidate.batches == []
            if site.pauses == 5:
                assert site.house.analyse() is None

        site.while_paused = patient_is_seen
        assert shadow(job, site.tools(), lambda: alive.append(True)) is None
        assert site.pauses == 5
        assert len(alive) >= 5, "the lease is kept meanwhile"
        assert site.candidate.batches == [2, 2]

    def test_a_host_of_its_own_gives_way_to_nobody(self) -> None:
        site = Shadowed()
        site.rule = replace(site.rule, give_way=False)
        site.reported(1)
        site.house.receive(2)
        site.house.close()
        assert site.look() is None
        assert site.pauses == 0


class TestACandidateThatFails:
    @pytest.mark.parametrize(
        "error", [RuntimeError("1.2.3 Doe^Jane"), BundleError("a layer is missing"), MemoryError()]
    )
    def test_it_is_tried_as_often_as_it_may_and_nothing_else_happens(self, error: Exception) -> None:
        site = Shadowed()
        site.reported(1)
        before = outward(site.house)

        def fail(photographs: object) -> list[Classification]:
            raise error

        site.candidate.classify = fail
        loop = site.loop()
        for _ in range(5):
            loop.once()
            site.house.clock.forward(3600)
        [job] = site.house.jobs.find(kind=JobKind.SHADOW)
        assert (job.state, job.attempt) == (JobState.DEAD, 2)
        assert type(error).__name__ in str(job.reason)
        assert "Doe" not in str(job.reason)
        assert outward(site.house) == before

    def test_what_is_no_number_is_not_compared(self) -> None:
        site = Shadowed()
        site.reported(1)
        classify = site.candidate.classify

        def wrong(photographs):
            return [
                replace(said, scores=(replace(said.scores[0], probability=math.nan),)) for said in classify(photographs)
            ]

        site.candidate.classify = wrong
        outcome = site.look()
        assert outcome == Never("the candidate says no number for DR")
        assert site.frames() == ()

    def test_a_stop_costs_no_attempt(self) -> None:
        site = Shadowed()
        site.reported(1)
        stop = threading.Event()
        stop.set()
        assert site.loop(stop).once()
        [job] = site.house.jobs.find(kind=JobKind.SHADOW)
        assert (job.state, job.attempt) == (JobState.WAITING, 0)


def test_the_result_that_it_is_compared_with_is_the_reported_one() -> None:
    site = Shadowed()
    site.reported(1)
    site.look()
    [past] = site.house.jobs.past_looks(Candidate.of(site.candidate.bundle), None, 0, 10)
    [image] = json.loads(past.result)["images"]
    assert image["scores"][0]["positive"] is True
    assert past.reported_at == site.house.jobs.analysis(1).finished_at
