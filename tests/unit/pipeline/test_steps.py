"""The product in milliseconds: every step over the in-memory ports."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from ocunet_pacs.domain.errors import DeliveryError, InvalidReport, PeerBusy, PeerRefused, PeerUnavailable
from ocunet_pacs.domain.gates import Verdict
from ocunet_pacs.domain.job import Done, JobKind, JobState, Later, Never, Retry
from ocunet_pacs.domain.study import ImageHeader, Reason, ReasonCode
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.pipeline.steps import AnalysisTools, AssemblyRule, DeliveryTools, analyse, assemble, deliver
from tests.unit.pipeline.fakes import Classifier, Clock, Files, Reader, Reporter, received

RULE = AssemblyRule(timedelta(minutes=10), attempts=3)
LEASE = timedelta(minutes=5)


class House:
    """A whole product in memory."""

    def __init__(self, *destinations: str) -> None:
        self.clock, self.jobs, self.files = Clock(), MemoryJobs(), Files()
        self.reader, self.classifier, self.reporter = Reader(), Classifier(), Reporter()
        self.destinations = destinations
        self.rules_digest = "r" * 64
        self.report_nothing_eligible = True
        self.counted: dict[tuple[str, ...], int] = {}
        self.verdicts: dict[str, Verdict] = {}

    def eligibility(self, header: ImageHeader, source: str) -> Verdict:
        return self.verdicts.get(header.sop_instance_uid, Verdict())

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        key = (name, *labels.values())
        self.counted[key] = self.counted.get(key, 0) + amount

    def receive(self, *numbers: int) -> None:
        for number in numbers:
            self.jobs.record_instance(received(number, self.clock))

    def close(self) -> int:
        self.clock.forward(11)
        return assemble(self.jobs, RULE, self.clock())

    def claim(self, kind: JobKind = JobKind.ANALYSE):
        job = self.jobs.claim([kind], "me", self.clock(), LEASE)
        assert job is not None
        return job

    def tools(self) -> AnalysisTools:
        return AnalysisTools(
            ledger=self.jobs,
            files=self.files,
            result_key=lambda uid: f"results/{uid}",
            reader=self.reader,
            eligibility=self.eligibility,
            rules_digest=self.rules_digest,
            classifier=self.classifier,
            reporter=self.reporter,
            destinations=self.destinations,
            delivery_attempts=5,
            batch_size=2,
            clock=self.clock,
            report_nothing_eligible=self.report_nothing_eligible,
            count=self.count,
        )

    def analyse(self, job=None):
        return analyse(job or self.claim(), self.tools(), lambda: None)


def test_a_study_is_closed_after_the_quiet_period_and_not_before() -> None:
    house = House()
    house.receive(1)
    house.clock.forward(9)
    assert assemble(house.jobs, RULE, house.clock()) == 0
    house.receive(2)
    house.clock.forward(9)
    assert assemble(house.jobs, RULE, house.clock()) == 0
    house.clock.forward(2)
    assert assemble(house.jobs, RULE, house.clock()) == 1


def test_a_study_that_never_rests_is_closed_by_force() -> None:
    house = House()
    for number in range(100):
        house.receive(number)
        house.clock.forward(8)
        if assemble(house.jobs, RULE, house.clock()):
            break
    assert house.clock() >= Clock()() + RULE.force_after
    assert len(house.jobs.analysis_instances(house.claim().subject_id)) == number + 1


def test_an_analysis_keeps_its_results_and_queues_one_delivery_an_object_and_destination() -> None:
    house = House("pacs", "archive")
    house.receive(1, 2, 3)
    house.close()
    assert house.analyse() is None
    counts = house.jobs.counts()
    assert counts[JobKind.ANALYSE, JobState.DONE] == 1
    assert counts[JobKind.DELIVER, JobState.WAITING] == 2 * (3 + 1), "three heatmaps and a report, twice"
    assert len(house.files.content) == 4
    assert house.classifier.batches == [2, 1]


def test_the_saved_result_is_json_that_names_every_image() -> None:
    house = House()
    house.receive(1, 2)
    house.close()
    job = house.claim()
    house.analyse(job)
    saved = json.loads(house.jobs.analysis(job.subject_id).result)
    assert [image["sop_instance_uid"] for image in saved["images"]] == ["1.2.1.1", "1.2.1.2"]
    assert saved["images"][0]["scores"][0]["probability"] == 0.88


def test_an_image_without_positive_label_has_no_heatmap() -> None:
    house = House("pacs")
    house.classifier = Classifier(positive=False)
    house.receive(1)
    house.close()
    house.analyse()
    assert house.jobs.counts()[JobKind.DELIVER, JobState.WAITING] == 1


def test_a_bad_image_is_reported_with_its_reason_and_spoils_no_other() -> None:
    house = House()
    house.reader.broken["1.2.1.2"] = ReasonCode.NOT_DICOM
    house.receive(1, 2, 3)
    house.close()
    house.analyse()
    images = house.reporter.results[0].images
    assert [image.assessed for image in images] == [True, False, True]
    assert [reason.code for reason in images[1].reasons] == [ReasonCode.NOT_DICOM]


def test_frames_before_a_broken_one_keep_their_scores() -> None:
    house = House()
    house.reader.frames_of["1.2.1.1"] = 4
    house.reader.broken_after["1.2.1.1"] = 2
    house.receive(1)
    house.close()
    house.analyse()
    images = house.reporter.results[0].images
    assert [(image.frame, image.assessed) for image in images] == [(1, True), (2, True), (3, False)]


def test_a_study_in_which_nothing_can_be_assessed_still_gets_its_report() -> None:
    house = House("pacs")
    house.reader.broken["1.2.1.1"] = ReasonCode.UNREADABLE_DATASET
    house.receive(1)
    house.close()
    house.analyse()
    assert house.classifier.batches == []
    assert house.jobs.counts()[JobKind.DELIVER, JobState.WAITING] == 1


def stop(code: ReasonCode) -> Verdict:
    return Verdict(stop=Reason(code, "the test says so"))


def test_note_and_counters_account_for_every_image() -> None:
    house = House("pacs")
    for number, code in enumerate([ReasonCode.ANGIOGRAPHY, ReasonCode.CHILD, ReasonCode.CHILD, ReasonCode.CONTEXT], 2):
        house.verdicts[f"1.2.1.{number}"] = stop(code)
    house.receive(1, 2, 3, 4, 5)
    house.close()
    job = house.claim()
    house.analyse(job)
    done = house.jobs.get(job.id)
    assert done is not None
    assert done.reason == "1 of 4 images assessed; not assessed: 2 child, 1 angiography; kept as context: 1 object"
    assert house.counted == {
        ("images_assessed",): 1,
        ("images_not_assessed", "angiography"): 1,
        ("images_not_assessed", "child"): 2,
    }


def test_a_job_that_was_lost_counts_nothing() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    stale = house.claim()
    house.clock.forward(LEASE.total_seconds() + 1)
    house.jobs.reap(house.clock(), lambda owner: False)
    house.analyse(stale)
    assert house.counted == {}


def test_other_rules_are_other_results() -> None:
    keys = set()
    for digest in ("r" * 64, "other"):
        house = House("pacs")
        house.rules_digest = digest
        house.receive(1)
        house.close()
        house.analyse()
        keys.add(house.reporter.results[0].key)
    assert len(keys) == 2


class Nothing(House):
    """A site in which nothing is eligible for the reasons that the test gives, one an image."""

    def revise(self, *codes: ReasonCode) -> str:
        """One more revision with these images; its note."""
        known = len(self.verdicts)
        for number, code in enumerate(codes, known + 1):
            self.verdicts[f"1.2.1.{number}"] = stop(code)
        self.receive(*range(known + 1, known + len(codes) + 1))
        self.close()
        job = self.claim()
        self.analyse(job)
        done = self.jobs.get(job.id)
        assert done is not None
        assert done.state is JobState.DONE
        return done.reason or ""


def test_nothing_eligible_is_said_once_until_the_reasons_change() -> None:
    house = Nothing("pacs")
    assert house.revise(ReasonCode.CHILD) == "0 of 1 image assessed; not assessed: 1 child"
    assert "no report: the last one gave the same reasons" in house.revise(ReasonCode.CHILD)
    assert "the same reasons" in house.revise(ReasonCode.CHILD), "the one before said nothing, the first still stands"
    assert len(house.reporter.results) == 1
    assert "no report" not in house.revise(ReasonCode.ANGIOGRAPHY)
    assert len(house.reporter.results) == 2
    assert house.reporter.results[1].predecessor is not None
    house.receive(5)
    house.close()
    house.analyse()
    assert len(house.reporter.results) == 3, "an image that can be assessed is news"
    assert house.jobs.counts()[JobKind.DELIVER, JobState.WAITING] == 4


def test_a_site_that_wants_no_report_of_nothing_gets_none() -> None:
    house = Nothing("pacs")
    house.report_nothing_eligible = False
    note = house.revise(ReasonCode.CHILD)
    assert note == (
        "0 of 1 image assessed; not assessed: 1 child; no report: the site wants none where nothing is eligible"
    )
    assert house.files.content == {}
    assert not house.jobs.counts().get((JobKind.DELIVER, JobState.WAITING))
    assert house.counted == {("images_not_assessed", "child"): 1}
    house.receive(2)
    house.close()
    house.analyse()
    assert len(house.reporter.results) == 1, "what can be assessed is reported all the same"


def test_a_study_without_any_photograph_needs_no_report() -> None:
    house = Nothing("pacs")
    assert "nothing in the study is a photograph" in house.revise(ReasonCode.CONTEXT)
    assert house.reporter.results == []


def test_a_late_image_makes_a_revision_that_names_its_predecessor() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    house.analyse()
    house.receive(2)
    house.close()
    house.analyse()
    first, second = house.reporter.results
    assert (first.revision, second.revision) == (1, 2)
    assert first.predecessor is None
    assert second.predecessor is not None
    assert len(second.images) == 2
    assert house.jobs.counts()[JobKind.DELIVER, JobState.WAITING] == 4, "the first image's heatmap is sent once"


def test_a_resend_makes_nothing() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    house.analyse()
    house.receive(1)
    assert house.close() == 0


def test_our_own_result_coming_back_starts_no_analysis() -> None:
    house = House()
    house.jobs.record_instance(received(1, house.clock, opens_study=False))
    assert house.close() == 0


def test_a_revision_that_is_overtaken_before_it_runs_is_not_run() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    house.receive(2)
    house.close()
    outcome = house.analyse()
    assert isinstance(outcome, Done)
    assert house.classifier.batches == []


def test_a_worker_that_lost_its_job_changes_nothing() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    stale = house.claim()
    house.clock.forward(LEASE.total_seconds() + 1)
    house.jobs.reap(house.clock(), lambda owner: False)
    fresh = house.jobs.claim([JobKind.ANALYSE], "other", house.clock(), LEASE)
    assert house.analyse(stale) is None
    assert not house.jobs.counts().get((JobKind.DELIVER, JobState.WAITING))
    assert house.analyse(fresh) is None
    assert house.jobs.counts()[JobKind.DELIVER, JobState.WAITING] == 2


def test_a_crash_before_the_finish_leaves_one_result_after_the_next_try() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()

    def crash() -> None:
        if house.files.content:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyse(house.claim(), house.tools(), crash)
    assert house.files.content, "the heatmap was stored before the crash"
    house.jobs.reap(house.clock(), lambda owner: True)
    house.analyse()
    assert len(house.files.content) == 2, "stored again under the same name"
    assert house.jobs.counts()[JobKind.DELIVER, JobState.WAITING] == 2


def test_a_report_that_breaks_a_rule_goes_to_a_person_and_not_to_the_pacs() -> None:
    house = House("pacs")
    house.reporter.report = lambda *a: (_ for _ in ()).throw(InvalidReport("no evidence"))
    house.receive(1)
    house.close()
    outcome = house.analyse()
    assert isinstance(outcome, Never)
    assert "no evidence" in outcome.reason


class Sender:
    def __init__(self, answer: DeliveryError | tuple[int, str]) -> None:
        self.answer = answer

    def send(self, destination: str, path: object) -> tuple[int, str]:
        if isinstance(self.answer, DeliveryError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "expected", "status"),
    [
        ((0x0000, ""), Done, 0x0000),
        ((0xB000, "coerced"), Done, 0xB000),
        (PeerUnavailable("nobody answered"), Later, None),
        (PeerBusy("out of resources", 0xA700), Retry, 0xA700),
        (PeerRefused("not allowed", 0x0124), Never, 0x0124),
    ],
)
def test_a_delivery_ends_in_the_word_that_its_answer_means(answer, expected, status) -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    house.analyse()
    tools = DeliveryTools(house.jobs, house.files, Sender(answer), timedelta(seconds=30), house.clock)
    job = house.claim(JobKind.DELIVER)
    outcome = deliver(job, tools, lambda: None)
    assert isinstance(outcome, expected)
    assert house.jobs.delivery(job.subject_id).status == status
