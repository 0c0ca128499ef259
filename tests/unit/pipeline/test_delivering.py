"""Deliveries over days in milliseconds: outages, refusals, storage commitment, on a clock that the test moves."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from ocunet_pacs.domain.audit import AuditOutcome, Party, Patient, Sent
from ocunet_pacs.domain.errors import DeliveryError, PeerBusy, PeerRefused, PeerUnavailable
from ocunet_pacs.domain.job import Done, JobKind, JobState, Later, Never, Retry
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.ports import Receipt
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.pipeline.delivering import CommitmentRule, DeliveryTools, deliver
from ocunet_pacs.settings.sections import Jobs
from tests.unit.pipeline.fakes import received
from tests.unit.pipeline.test_steps import LEASE, House

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

NO_SUCH_OBJECT = 0x0112
PACS = Party("pacs", "PACS", "10.0.0.1")


@dataclass
class Pacs:
    """Stores what it is sent and commits to it, unless the test says otherwise."""

    has: list[str] = field(default_factory=list)
    tries: int = 0
    transactions: list[tuple[str, list[str]]] = field(default_factory=list)
    answer: Callable[[str], DeliveryError | None] = lambda _path: None
    commits: Callable[[str, Sequence[tuple[str, str]]], Commitment | None] | None = None

    def send(self, path: Path) -> Receipt:
        self.tries += 1
        error = self.answer(str(path))
        if error is not None:
            raise error
        self.has.append(str(path))
        return Receipt("status 0x0000", 0x0000)

    def request(self, transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Commitment | None:
        self.transactions.append((transaction_uid, [uid for _, uid in instances]))
        if self.commits is not None:
            return self.commits(transaction_uid, instances)
        return Commitment(transaction_uid, frozenset(uid for _, uid in instances))


class Sending(House):
    """A house whose results go to one PACS."""

    def __init__(self, *, commits: bool = False, most_asks: int = 3) -> None:
        super().__init__("pacs")
        self.pacs = Pacs()
        self.serial = 0
        rule = CommitmentRule(self.pacs, timedelta(hours=1), most_asks)
        self.delivery = DeliveryTools(
            ledger=self.jobs,
            files=self.files,
            senders={"pacs": self.pacs},
            commitment={"pacs": rule} if commits else {},
            pause=timedelta(minutes=1),
            longest_pause=timedelta(minutes=2),
            clock=self.clock,
            new_uid=self.new_uid,
            count=self.count,
            audit=self.told.append,
            parties={"pacs": PACS},
            observe=self.observe,
        )

    def new_uid(self) -> str:
        self.serial += 1
        return f"2.25.{self.serial}"

    def study(self, number: int, urgency: Urgency = Urgency.NONE) -> None:
        """One more study with one image: a heatmap and a report wait for the PACS."""
        self.jobs.record_instance(received(1, self.clock, study=f"1.{number}"))
        self.close()
        self.reporter.study_urgency = urgency
        self.analyse()

    def deliver_due(self) -> None:
        """What a delivering loop does with everything that is due now."""
        while (job := self.jobs.claim([JobKind.DELIVER], "me", self.clock(), LEASE)) is not None:
            outcome = deliver(job, self.delivery, lambda: None)
            assert self.jobs.finish(job, outcome, self.clock(), 0.5)

    def deliver_for(self, span: timedelta) -> None:
        """The same for a while: the clock moves from one due time to the next."""
        end = self.clock() + span
        while self.clock() < end:
            self.deliver_due()
            waiting = self.jobs.find(state=JobState.WAITING, kind=JobKind.DELIVER, limit=10_000)
            following = min((job.run_at for job in waiting), default=end)
            self.clock.time = max(self.clock(), min(following, end))
        self.deliver_due()

    def states(self) -> dict[JobState, int]:
        return {state: number for (kind, state), number in self.jobs.counts().items() if kind is JobKind.DELIVER}


@pytest.mark.parametrize(
    ("error", "expected", "status"),
    [
        (None, Done, 0x0000),
        (PeerUnavailable("nobody answered"), Later, None),
        (PeerBusy("out of resources", 0xA700), Retry, 0xA700),
        (PeerRefused("not allowed", 0x0124), Never, 0x0124),
    ],
)
def test_a_delivery_ends_in_the_word_that_its_answer_means(error, expected, status) -> None:
    house = Sending()
    house.study(1)
    house.pacs.answer = lambda _path: error
    job = house.claim(JobKind.DELIVER)
    assert isinstance(deliver(job, house.delivery, lambda: None), expected)
    assert house.jobs.delivery(job.subject_id).status == status


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, AuditOutcome.SUCCESS),
        (PeerUnavailable("nobody answered"), None),
        (PeerBusy("out of resources", 0xA700), AuditOutcome.MINOR_FAILURE),
        (PeerRefused("not allowed", 0x0124), AuditOutcome.SERIOUS_FAILURE),
    ],
)
def test_the_audit_trail_is_told_what_a_destination_answered(error, outcome) -> None:
    house = Sending()
    house.study(1)
    house.told.clear()
    house.pacs.answer = lambda _path: error
    job = house.claim(JobKind.DELIVER)
    deliver(job, house.delivery, lambda: None)
    made = house.jobs.delivery(job.subject_id).output
    expected = [] if outcome is None else [Sent(PACS, "1.1", made.sop_class_uid, Patient(), outcome)]
    assert house.told == expected


def test_a_destination_that_was_taken_out_of_the_settings_is_a_persons_business() -> None:
    house = Sending()
    house.study(1)
    house.delivery.senders.pop("pacs")  # type: ignore[attr-defined]
    house.deliver_for(timedelta(minutes=2))
    assert house.states() == {JobState.DEAD: 2}


def test_a_destination_of_which_another_host_heard_first_gets_its_results() -> None:
    house = Sending()
    house.study(1)
    sender = house.delivery.senders.pop("pacs")  # type: ignore[attr-defined]
    house.deliver_for(timedelta(seconds=20))
    house.delivery.senders["pacs"] = sender  # type: ignore[index]
    house.deliver_for(timedelta(minutes=2))
    assert house.states() == {JobState.DONE: 2}


def test_a_pacs_that_is_down_for_a_day_gets_everything_once_the_most_urgent_first_and_one_alert() -> None:
    house = Sending()
    house.pacs.answer = lambda _path: PeerUnavailable("nobody answered")
    urgencies = random.Random(7).choices(list(Urgency), k=250)
    analysed = len(house.classifier.batches)
    with capture_logs() as logs:
        for number, urgency in enumerate(urgencies):
            house.study(number, urgency)
            house.deliver_due()
        batches = len(house.classifier.batches) - analysed
        house.deliver_for(timedelta(days=1))
        assert house.states() == {JobState.WAITING: 500}
        assert house.pacs.tries < 1500, "one probe at a time, and not after every other"
        house.pacs.answer = lambda _path: None
        house.deliver_for(timedelta(minutes=3))
    assert house.states() == {JobState.DONE: 500}
    assert len(house.pacs.has) == len(set(house.pacs.has)) == 500
    assert len(house.classifier.batches) == batches + analysed, "no inference was run again"
    rank = {}
    for job in house.jobs.find(kind=JobKind.DELIVER, limit=1000):
        rank[house.jobs.delivery(job.subject_id).output.file_key] = job.priority
        assert job.attempt == 1, "a PACS that is down costs no attempts"
    order = [rank[key] for key in house.pacs.has]
    assert order[0] == max(order)
    assert order[1:] == sorted(order[1:], reverse=True)
    events = [entry["event"] for entry in logs if entry["event"].startswith("destination_")]
    assert events == ["destination_down", "destination_up"]
    assert house.counted["destination_outages", "pacs"] == 1


def test_one_destination_that_is_down_does_not_hold_up_another() -> None:
    house = Sending()
    other = Pacs()
    house.routes = type(house.routes)((*house.routes.targets, type(house.routes.targets[0])("other")))
    house.delivery.senders["other"] = other  # type: ignore[index]
    house.pacs.answer = lambda _path: PeerUnavailable("nobody answered")
    house.study(1)
    house.deliver_due()
    assert len(other.has) == 2
    assert house.states() == {JobState.DONE: 2, JobState.WAITING: 2}


def test_a_pacs_that_is_busy_is_tried_for_more_than_a_day_before_a_person_looks() -> None:
    house = Sending()
    house.delivery_attempts = Jobs().delivery_attempts
    house.study(1)
    house.pacs.answer = lambda _path: PeerBusy("out of resources", 0xA700)
    house.deliver_for(timedelta(hours=20))
    assert JobState.DEAD not in house.states()
    house.deliver_for(timedelta(days=2))
    assert house.states() == {JobState.DEAD: 2}


def test_a_pacs_that_refuses_half_the_time_gets_all_of_it_once() -> None:
    house = Sending()
    coin = random.Random(3)
    house.pacs.answer = lambda _path: PeerBusy("out of resources", 0xA700) if coin.random() < 0.5 else None
    for number in range(20):
        house.study(number)
    house.deliver_for(timedelta(hours=6))
    done = house.states().get(JobState.DONE, 0)
    assert done + house.states().get(JobState.DEAD, 0) == 40
    assert len(house.pacs.has) == len(set(house.pacs.has)) == done


def test_a_delivery_counts_only_once_it_is_committed_to_and_a_study_is_one_transaction() -> None:
    house = Sending(commits=True)
    house.study(1)
    house.deliver_due()
    assert house.states() == {JobState.WAITING: 2}
    assert house.pacs.transactions == []
    house.deliver_for(timedelta(minutes=5))
    assert house.states() == {JobState.DONE: 2}
    assert [len(uids) for _, uids in house.pacs.transactions] == [2]


def test_an_answer_on_another_association_finishes_what_waits_for_it() -> None:
    house = Sending(commits=True)
    house.pacs.commits = lambda *_: None
    house.study(1)
    house.deliver_for(timedelta(seconds=30))
    assert house.states() == {JobState.WAITING: 2}
    ((uid, asked),) = house.pacs.transactions
    assert house.jobs.record_commitment(Commitment(uid, frozenset(asked)), house.clock()) == 2
    house.deliver_due()
    assert house.states() == {JobState.DONE: 2}
    assert len(house.pacs.transactions) == 1


def test_no_answer_is_asked_for_again_and_at_last_a_persons_business() -> None:
    house = Sending(commits=True, most_asks=3)
    house.pacs.commits = lambda *_: None
    house.study(1)
    house.deliver_for(timedelta(minutes=59))
    assert len(house.pacs.transactions) == 1
    house.deliver_for(timedelta(hours=5))
    assert len(house.pacs.transactions) == 3
    assert house.states() == {JobState.DEAD: 2}
    assert len(house.pacs.has) == 2, "nothing was stored again for want of an answer"


def test_what_was_stored_and_forgotten_is_stored_again() -> None:
    house = Sending(commits=True)
    refusals = iter([True, True, False])
    house.pacs.commits = lambda uid, asked: (
        Commitment(uid, frozenset(), {one: NO_SUCH_OBJECT for _, one in asked})
        if next(refusals, False)
        else Commitment(uid, frozenset(one for _, one in asked))
    )
    house.study(1)
    house.deliver_for(timedelta(hours=3))
    assert house.states() == {JobState.DONE: 2}
    assert len(set(house.pacs.has)) == 2
    assert len(house.pacs.has) > 2


def test_an_archive_that_always_forgets_ends_with_a_person_and_a_reason() -> None:
    house = Sending(commits=True)
    house.pacs.commits = lambda uid, asked: Commitment(uid, frozenset(), {one: NO_SUCH_OBJECT for _, one in asked})
    house.study(1)
    house.deliver_for(timedelta(days=3))
    assert house.states() == {JobState.DEAD: 2}
    assert all("0x0112" in (job.reason or "") for job in house.jobs.find(state=JobState.DEAD))


def test_a_failure_that_storing_again_does_not_mend_is_a_persons_business_at_once() -> None:
    house = Sending(commits=True)
    house.pacs.commits = lambda uid, asked: Commitment(uid, frozenset(), {one: 0x0122 for _, one in asked})
    house.study(1)
    house.deliver_for(timedelta(minutes=5))
    assert house.states() == {JobState.DEAD: 2}
    assert len(house.pacs.has) == 2


def test_a_pacs_that_goes_down_before_it_is_asked_is_asked_when_it_is_back() -> None:
    house = Sending(commits=True)
    house.study(1)
    house.deliver_due()

    def down(*_: object) -> Commitment | None:
        raise PeerUnavailable("nobody answered")

    house.pacs.commits = down
    house.deliver_for(timedelta(hours=4))
    assert house.states() == {JobState.WAITING: 2}
    house.pacs.commits = None
    house.deliver_for(timedelta(minutes=5))
    assert house.states() == {JobState.DONE: 2}
    assert len(house.pacs.has) == 2


def test_a_job_that_is_interrupted_after_storing_does_not_store_again() -> None:
    house = Sending(commits=True)
    house.study(1)
    job = house.claim(JobKind.DELIVER)
    deliver(job, house.delivery, lambda: None)
    house.jobs.reap(house.clock(), lambda owner: True)
    house.deliver_for(timedelta(minutes=5))
    assert house.states() == {JobState.DONE: 2}
    assert len(house.pacs.has) == 2
