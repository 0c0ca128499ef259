"""The product in milliseconds: every step over the in-memory ports."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ocunet_pacs.domain.audit import Accessed, AuditEvent, Patient
from ocunet_pacs.domain.errors import DatabaseError, InvalidReport, StoreFull
from ocunet_pacs.domain.gates import Verdict
from ocunet_pacs.domain.job import BACKGROUND, Done, JobKind, JobState, Never
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.ledger import Finish
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.routes import Form, Routes, Rule, Target
from ocunet_pacs.domain.study import ImageHeader, Reason, ReasonCode
from ocunet_pacs.jobs.memory import MemoryJobs
from ocunet_pacs.pipeline.steps import AnalysisTools, AssemblyRule, analyse, assemble
from tests.unit.pipeline.fakes import Classifier, Clock, Files, Reader, Reporter, received

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.job import Job

RULE = AssemblyRule(timedelta(minutes=10), attempts=3)
LEASE = timedelta(minutes=5)


class House:
    """A whole product in memory."""

    def __init__(self, *destinations: str) -> None:
        self.clock, self.jobs, self.files = Clock(), MemoryJobs(), Files()
        self.reader, self.classifier, self.reporter = Reader(), Classifier(), Reporter()
        self.routes = Routes(tuple(Target(name) for name in destinations))
        self.rules_digest = "r" * 64
        self.delivery_attempts = 5
        self.report_nothing_eligible = True
        self.counted: dict[tuple[str, ...], int] = {}
        self.observed: list[tuple[str, float, dict[str, str]]] = []
        self.verdicts: dict[str, Verdict] = {}
        self.told: list[AuditEvent] = []
        self.keys_given = 0

    def eligibility(self, header: ImageHeader, source: str) -> Verdict:
        return self.verdicts.get(header.sop_instance_uid, Verdict())

    def new_result_key(self, suffix: str) -> str:
        self.keys_given += 1
        return f"results/{self.keys_given}.{suffix}"

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        key = (name, *labels.values())
        self.counted[key] = self.counted.get(key, 0) + amount

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        self.observed.append((name, value, labels))

    def receive(self, *numbers: int) -> None:
        for number in numbers:
            self.jobs.record_instance(received(number, self.clock))

    def close(self) -> int:
        self.clock.forward(11)
        return assemble(self.jobs, RULE, self.clock(), observe=self.observe)

    def claim(self, kind: JobKind = JobKind.ANALYSE):
        job = self.jobs.claim([kind], "me", self.clock(), LEASE)
        assert job is not None
        return job

    def tools(self) -> AnalysisTools:
        return AnalysisTools(
            ledger=self.jobs,
            files=self.files,
            new_result_key=self.new_result_key,
            reader=self.reader,
            eligibility=self.eligibility,
            rules_digest=self.rules_digest,
            classifier=self.classifier,
            reporter=self.reporter,
            routes=self.routes,
            delivery_attempts=self.delivery_attempts,
            batch_size=2,
            clock=self.clock,
            report_nothing_eligible=self.report_nothing_eligible,
            count=self.count,
            audit=self.told.append,
            patient_number=lambda path: f"PAT {path}",
            observe=self.observe,
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


def test_the_audit_trail_is_told_what_was_read_of_whom() -> None:
    house = House("pacs")
    first, second = (received(number, house.clock) for number in (1, 2))
    for instance in (first, second):
        house.jobs.record_instance(replace(instance, patient_digest="p" * 64))
    house.close()
    house.analyse()
    number = f"PAT {house.files.path(first.file_key)}"
    assert house.told == [Accessed("1.2", ((first.sop_class_uid, 2),), Patient("p" * 64, number))]


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
        ("jobs", "analyse", "done", ""): 1,
        ("reports", "none"): 1,
    }


def test_a_job_that_was_lost_counts_as_that_and_nothing_else() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    stale = house.claim()
    house.clock.forward(LEASE.total_seconds() + 1)
    house.jobs.reap(house.clock(), lambda owner: False)
    house.analyse(stale)
    assert house.counted == {("jobs", "analyse", "lost", "lease"): 1}


def kept_files(house: House) -> dict[str, bytes]:
    """What the store holds of each object that the ledger names, by SOP Instance UID."""
    rows = {house.jobs.delivery(job.subject_id).output for job in house.jobs.find(kind=JobKind.DELIVER)}
    return {row.sop_instance_uid: house.files.content[row.file_key] for row in rows}


def let_another_do_the_job_before(house: House, what: str) -> None:
    """The first time that this is stored, the worker is paused for its lease, and another does the whole job."""
    put = house.files.put

    def pause(key: str, content: bytes) -> None:
        if what in content.decode():
            house.files.put, mine = put, house.reporter.maker
            house.clock.forward(LEASE.total_seconds() + 1)
            house.jobs.reap(house.clock(), lambda owner: False)
            house.reporter.maker = " by the other"
            house.analyse()
            house.reporter.maker = mine
        put(key, content)

    house.files.put = pause


@pytest.mark.parametrize("what", ["heatmap", "report"])
def test_a_worker_that_was_paused_past_its_lease_leaves_the_results_of_another_as_they_are(what: str) -> None:
    house = House("pacs")
    house.receive(1, 2)
    house.close()
    let_another_do_the_job_before(house, what)
    house.analyse()
    assert sorted(kept_files(house).values()) == [b"heatmap by the other"] * 2 + [b"report by the other"]
    assert house.counted["jobs", "analyse", "lost", "lease"] == 1


def test_what_an_analysis_waited_for_is_told_once_its_results_are_kept() -> None:
    house = House("pacs")
    house.receive(1, 2, 3)
    assert house.close() == 1
    house.analyse()
    assert [name for name, _, _ in house.observed] == ["assembly_seconds", *["analysis_seconds"] * 3]
    assert [labels for _, _, labels in house.observed] == [
        {"cause": "quiet"},
        {"part": "reading"},
        {"part": "inference"},
        {"part": "report"},
    ]
    assert house.observed[0][1] == 11.0
    assert all(seconds > 0 for _, seconds, _ in house.observed[1:])


def test_a_slow_reader_is_told_from_a_slow_network() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    reads, asks = house.reader.photographs, house.classifier.classify

    def read_slowly(path):
        time.sleep(0.2)
        yield from reads(path)

    def ask_slowly(photographs):
        time.sleep(0.1)
        return asks(photographs)

    house.reader.photographs, house.classifier.classify = read_slowly, ask_slowly
    house.analyse()
    spent = {labels["part"]: seconds for name, seconds, labels in house.observed if name == "analysis_seconds"}
    assert spent["reading"] >= 0.2
    assert spent["inference"] >= 0.1


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
    assert house.counted == {("images_not_assessed", "child"): 1, ("jobs", "analyse", "done", ""): 1}
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
            house.files.remove = lambda key: None  # a process that is gone removes nothing
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyse(house.claim(), house.tools(), crash)
    left = dict(house.files.content)
    assert left, "the heatmap was stored before the crash"
    house.jobs.reap(house.clock(), lambda owner: True)
    house.analyse()
    assert len(kept_files(house)) == 2
    assert not house.jobs.named_results(left), "nobody will miss it when it goes"
    assert house.jobs.counts()[JobKind.DELIVER, JobState.WAITING] == 2


def interrupted(house: House) -> None:
    def stop() -> None:
        if house.files.content:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyse(house.claim(), house.tools(), stop)


def out_of_room(house: House) -> None:
    put = house.files.put

    def fill_up(key: str, content: bytes) -> None:
        put(key, content)
        raise StoreFull("the test filled it")

    house.files.put = fill_up
    with pytest.raises(StoreFull):
        house.analyse()


def broken_report(house: House) -> None:
    house.reporter.report = lambda *a: (_ for _ in ()).throw(InvalidReport("no evidence"))
    assert isinstance(house.analyse(), Never)


def overtaken(house: House) -> None:
    house.jobs.finish_analysis = lambda job, **more: Finish.SUPERSEDED
    house.analyse()


@pytest.mark.parametrize("fails", [interrupted, out_of_room, broken_report, overtaken])
def test_a_try_that_does_not_count_leaves_no_file_behind(fails: Callable[[House], None]) -> None:
    house = House("pacs")
    house.receive(1, 2)
    house.close()
    fails(house)
    assert house.files.content == {}


def test_files_stay_where_nobody_knows_whether_the_finish_was_applied() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    finish = house.jobs.finish_analysis

    def hang_up(job: Job, **more: Any) -> Finish:
        finish(job, **more)
        raise DatabaseError("the server closed the connection")

    house.jobs.finish_analysis = hang_up
    with pytest.raises(DatabaseError):
        house.analyse()
    assert len(kept_files(house)) == 2


def test_a_database_that_goes_away_after_the_finish_undoes_nothing() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()

    def hang_up(keys: object) -> set[str]:
        raise DatabaseError("the server closed the connection")

    house.jobs.named_results = hang_up
    assert house.analyse() is None
    assert len(kept_files(house)) == 2
    assert house.counted["jobs", "analyse", "done", ""] == 1


def test_the_heatmap_of_an_earlier_revision_keeps_its_file() -> None:
    house = House("pacs")
    for number in (1, 2):
        house.receive(number)
        house.close()
        house.reporter.maker = f" of revision {number}"
        house.analyse()
    made = [b"heatmap of revision 1", b"heatmap of revision 2", b"report of revision 1", b"report of revision 2"]
    assert sorted(house.files.content.values()) == made
    assert sorted(kept_files(house).values()) == made


def test_a_report_that_breaks_a_rule_goes_to_a_person_and_not_to_the_pacs() -> None:
    house = House("pacs")
    house.reporter.report = lambda *a: (_ for _ in ()).throw(InvalidReport("no evidence"))
    house.receive(1)
    house.close()
    outcome = house.analyse()
    assert isinstance(outcome, Never)
    assert "no evidence" in outcome.reason


def test_a_heatmap_that_breaks_a_rule_stops_the_study_too() -> None:
    house = House("pacs")
    house.reporter.pictures = lambda *a: (_ for _ in ()).throw(InvalidReport("8 bit RGB"))
    house.receive(1)
    house.close()
    outcome = house.analyse()
    assert isinstance(outcome, Never)
    assert "8 bit RGB" in outcome.reason
    assert not house.jobs.counts().get((JobKind.DELIVER, JobState.WAITING))


REPORT, HEATMAP, PDF = OutputKind.REPORT, OutputKind.HEATMAP, OutputKind.PDF


def sent(house: House) -> dict[str, list[str]]:
    """What waits for each destination, as kinds with their forms."""
    found: dict[str, list[str]] = {}
    for job in house.jobs.find(kind=JobKind.DELIVER):
        row = house.jobs.delivery(job.subject_id)
        found.setdefault(row.destination, []).append(f"{row.output.kind} {row.output.form}".strip())
    return {name: sorted(kinds) for name, kinds in found.items()}


def test_each_destination_gets_its_own_form_and_each_form_is_made_once() -> None:
    house = House()
    old = Target("old", Form("enhanced", "jpeg"))
    words = Target("words", kinds=frozenset({REPORT}))
    house.routes = Routes((Target("a"), Target("b"), old, words))
    house.reporter.encodings = sorted(house.routes.encodings)
    house.receive(1)
    house.close()
    house.analyse()
    usual = ["heatmap uncompressed", "report comprehensive-3d/uncompressed"]
    assert sent(house) == {
        "a": usual,
        "b": usual,
        "old": ["heatmap jpeg", "report enhanced/jpeg"],
        "words": ["report comprehensive-3d/none"],
    }
    assert len(house.reporter.forms) == 3


def test_a_pdf_shows_heatmaps_although_its_destination_gets_none() -> None:
    house = House()
    house.routes = Routes((Target("files", kinds=frozenset({PDF})),))
    house.receive(1)
    house.close()
    house.analyse()
    assert sent(house) == {"files": ["pdf"]}
    assert house.reporter.forms[-1] == "comprehensive-3d/uncompressed"


def test_a_late_image_that_makes_the_study_urgent_sends_all_of_it_where_urgent_studies_go() -> None:
    house = House()
    house.routes = Routes((Target("pacs"), Target("on-call")), (Rule(("on-call",), minimum_urgency=Urgency.URGENT),))
    house.receive(1)
    house.close()
    house.analyse()
    assert set(sent(house)) == {"pacs"}
    house.reporter.study_urgency = Urgency.EMERGENCY
    house.receive(2)
    house.close()
    house.analyse()
    assert len(sent(house)["on-call"]) == 3, "the first image's heatmap too"
    assert len(sent(house)["pacs"]) == 4, "each heatmap once"


def test_word_of_an_urgent_study_is_given_once() -> None:
    house = House()
    notified = Target("pager", kinds=frozenset({OutputKind.NOTICE}), minimum_urgency=Urgency.SOON)
    house.routes = Routes((notified,))
    for number, (urgency, notices) in enumerate([("routine", 0), ("soon", 1), ("soon", 1), ("emergency", 2)], 1):
        house.reporter.study_urgency = Urgency(urgency)
        house.receive(number)
        house.close()
        house.analyse()
        assert len(sent(house).get("pager", [])) == notices


def test_nobody_is_called_for_what_an_untrained_model_says() -> None:
    house = House()
    house.routes = Routes((Target("pager", kinds=frozenset({OutputKind.NOTICE})),))
    house.classifier.bundle = replace(house.classifier.bundle, trained=False)
    house.reporter.study_urgency = Urgency.EMERGENCY
    house.receive(1)
    house.close()
    house.analyse()
    assert sent(house) == {}


def test_a_record_system_gets_its_document() -> None:
    house = House()
    house.routes = Routes((Target("record", kinds=frozenset({OutputKind.FHIR})),))
    house.reporter.encodings = sorted(house.routes.encodings)
    house.receive(1)
    house.close()
    house.analyse()
    assert sent(house) == {"record": ["fhir"]}
    assert any(key.endswith(".json") for key in house.files.content)


@pytest.mark.parametrize(
    ("rule", "goes"),
    [
        (Rule(("pacs",), sources=frozenset({"CAMERA"})), True),
        (Rule(("pacs",), sources=frozenset({"OTHER"})), False),
        (Rule(("pacs",), stations=frozenset({"ROOM-1"})), True),
        (Rule(("pacs",), stations=frozenset({"ROOM-2"})), False),
        (Rule(("pacs",), minimum_urgency=Urgency.SOON), True),
        (Rule(("pacs",), minimum_urgency=Urgency.URGENT), False),
        (Rule(("pacs",), results=frozenset({REPORT})), True),
    ],
)
def test_a_rule_decides_by_sender_station_urgency_and_kind(rule: Rule, goes: bool) -> None:
    house = House()
    house.routes = Routes((Target("pacs"), Target("archive")), (rule,))
    house.reader.station, house.reporter.study_urgency = "ROOM-1", Urgency.SOON
    house.receive(1)
    house.close()
    job = house.claim()
    house.analyse(job)
    assert ("pacs" in sent(house)) is goes
    assert len(sent(house)["archive"]) == 2, "no rule names it"
    if rule.results:
        assert sent(house)["pacs"] == ["report comprehensive-3d/none"]


@pytest.mark.parametrize("heatmap", ["uncompressed", "jpeg", ""])
def test_a_study_that_no_rule_sends_anywhere_is_reported_into_the_store_and_says_so(heatmap: str) -> None:
    house = House()
    kinds = frozenset({REPORT, OutputKind.HEATMAP} if heatmap else {REPORT})
    nobody = Rule(("pacs",), sources=frozenset({"nobody"}))
    house.routes = Routes((Target("pacs", Form(heatmap=heatmap), kinds),), (nobody,))
    house.reporter.encodings = sorted(house.routes.encodings)
    house.receive(1)
    house.close()
    job = house.claim()
    house.analyse(job)
    assert sent(house) == {}
    assert len(house.reporter.results) == 1
    done = house.jobs.get(job.id)
    assert done is not None
    assert "goes nowhere by the routes" in (done.reason or "")


def test_the_most_urgent_study_is_delivered_first() -> None:
    house = House("pacs")
    for number, urgency in enumerate([Urgency.ROUTINE, Urgency.EMERGENCY, Urgency.SOON], 1):
        house.jobs.record_instance(received(number, house.clock, study=f"1.{number}"))
        house.close()
        house.reporter.study_urgency = urgency
        house.analyse()
    priorities = [house.claim(JobKind.DELIVER).priority for _ in range(6)]
    assert priorities == sorted(priorities, reverse=True)
    assert priorities[0] == Urgency.EMERGENCY.rank


def test_a_revision_that_is_asked_for_looks_at_the_same_images_and_names_its_predecessor() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    house.analyse()
    (study,) = house.jobs.studies_like()
    assert (study.revision, study.bundle_digest, study.urgency) == (1, "b" * 64, Urgency.NONE)
    house.classifier = Classifier(digest="c" * 64)
    assert house.jobs.request_revision(study.id, house.clock(), 3, BACKGROUND) is not None
    assert house.jobs.request_revision(study.id, house.clock(), 3, BACKGROUND) is None, "one waits already"
    house.analyse()
    first, second = house.reporter.results
    assert [image.sop_instance_uid for image in second.images] == [image.sop_instance_uid for image in first.images]
    assert second.predecessor is not None
    assert second.revision == 2
    assert [s.study_instance_uid for s in house.jobs.studies_like(bundle_digest="cc")] == ["1.2"]
    assert house.jobs.studies_like(bundle_digest="bb") == []


def test_asking_again_for_the_very_same_work_makes_nothing_new() -> None:
    house = House("pacs")
    house.receive(1)
    house.close()
    house.analyse()
    before = sent(house)
    (study,) = house.jobs.studies_like()
    house.jobs.request_revision(study.id, house.clock(), 3, BACKGROUND)
    house.analyse()
    assert sent(house) == before
