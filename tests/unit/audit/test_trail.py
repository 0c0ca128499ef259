"""The trail: nothing waits for it, nothing is out of order, and what is lost is said."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest
import structlog

from ocunet_pacs.audit.message import Reporter
from ocunet_pacs.audit.spool import take_spools
from ocunet_pacs.audit.syslog import xml_of
from ocunet_pacs.audit.trail import Clocks, Trail
from ocunet_pacs.domain.audit import Alert, AuditEvent, SecurityAlert
from tests.daemon import wait_until
from tests.unit.audit.schema import checked
from tests.unit.audit.targets import Remembering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

START, STOP, ALERT, LOST_SOME = "110120", "110121", "110132", "110133"


@dataclass
class Site:
    """One host with its spools. `ahead` is how far the clock for pauses was put forward."""

    folder: Path
    logged: list[Any]
    target: Remembering = field(default_factory=Remembering)
    counted: Counter[str] = field(default_factory=Counter)
    ahead: float = 0.0
    started: list[Trail] = field(default_factory=list)

    def trail(self, role: str = "listen", limit: int = 1 << 20, queue_length: int = 1000) -> Trail:
        found = Trail(
            Reporter("OCUNET", "host", 1, role, "OCUNET"),
            self.target,
            take_spools(self.folder, "host", limit),
            clocks=Clocks(lambda: datetime.now(UTC), lambda: self.ahead),
            facility=10,
            count=self.count,
            queue_length=queue_length,
        )
        self.started.append(found)
        return found

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        assert name == "audit_messages"
        self.counted[labels["outcome"]] += amount

    def tried_since(self, tries: int) -> bool:
        return self.target.tries > tries

    def said(self, event: str) -> int:
        return sum(line["event"] == event for line in self.logged)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with structlog.testing.capture_logs() as logged:
        found = Site(tmp_path / "audit", logged)
        yield found
        for trail in found.started:
            trail.close()


def event(number: int) -> AuditEvent:
    return SecurityAlert(Alert.RESTRICTED_FUNCTION, f"event {number}")


def descriptions(target: Remembering) -> list[str]:
    """Of the messages that have one."""
    roots = [checked(xml_of(message)) for message in target.got]
    return [found.text or "" for root in roots for found in root.iter("EventOutcomeDescription")]


def test_events_of_many_threads_arrive_each_thread_s_in_order(site: Site) -> None:
    trail = site.trail()
    trail.start()

    def tell(start: int) -> None:
        for number in range(start, start + 100):
            trail(event(number))

    threads = [threading.Thread(target=tell, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trail.close()
    numbers = [int(text.removeprefix("event ")) for text in descriptions(site.target)]
    for start in range(0, 400, 100):
        assert [n for n in numbers if start <= n < start + 100] == list(range(start, start + 100))
    kinds = site.target.kinds()
    assert (kinds[0], kinds[-1]) == (START, STOP)
    assert site.counted == {"sent": 402}
    assert site.target.closed


def test_while_the_server_is_away_messages_wait_and_then_come_in_order_said_once(site: Site) -> None:
    site.target.away = True
    trail = site.trail()
    trail.start()
    wait_until(lambda: site.said("audit_target_lost"), "the loss to be noticed", 10)
    for number in range(10):
        trail(event(number))
        site.ahead += 100.0  # each pause is over
        wait_until(partial(site.tried_since, site.target.tries), "another try", 10)
    assert site.said("audit_target_lost") == 1
    site.target.away = False
    site.ahead += 100.0
    wait_until(lambda: len(site.target.got) == 11, "all of them", 10)
    trail.close()
    assert descriptions(site.target) == [f"event {number}" for number in range(10)]
    assert site.said("audit_target_back") == 1


def test_between_tries_there_are_pauses(site: Site) -> None:
    site.target.away = True
    trail = site.trail()
    trail.start()
    wait_until(lambda: site.target.tries == 1, "the first try", 10)
    for number in range(300):
        trail(event(number))
    wait_until(trail._queue.empty, "them to be taken", 10)
    assert site.target.tries == 1


def test_what_could_not_be_sent_is_sent_by_the_next_process_first(site: Site) -> None:
    site.target.away = True
    first = site.trail()
    first.start()
    wait_until(lambda: site.said("audit_target_lost"), "the loss to be noticed", 10)
    first(event(1))
    first.close()
    assert site.target.got == []
    site.target.away = False
    second = site.trail()
    second.start()
    second.close()
    assert site.target.kinds() == [START, ALERT, STOP, START, STOP]


def test_a_process_that_was_killed_is_reported_by_the_next(site: Site) -> None:
    killed = take_spools(site.folder, "host", 1 << 20)[0]
    killed.belongs_to("work")
    killed.close()
    trail = site.trail("deliver")
    trail.start()
    trail.close()
    assert site.target.kinds() == [STOP, START, STOP]
    first = checked(xml_of(site.target.got[0]))
    assert next(first.iter("ActiveParticipant")).attrib["UserName"] == "ocunet-pacs work"
    after = site.trail("deliver")
    after.start()
    after.close()
    assert site.target.kinds()[3:] == [START, STOP], "said once"


def test_past_the_limit_messages_are_dropped_counted_and_how_many_is_said_first(site: Site) -> None:
    site.target.away = True
    trail = site.trail(limit=8000)
    trail.start()
    for number in range(50):
        trail(event(number))
    wait_until(lambda: site.said("audit_messages_dropped"), "something to be dropped", 10)
    wait_until(trail._queue.empty, "all to be taken", 10)
    site.target.away = False
    site.ahead += 100.0
    wait_until(lambda: site.target.got, "what was kept to be sent", 10)
    wait_until(lambda: site.counted["dropped"] + site.counted["sent"] == 51, "all to be accounted for", 10)
    trail(event(99))
    trail.close()
    told = descriptions(site.target)
    kept = len(told) - 2
    assert told[:kept] == [f"event {number}" for number in range(kept)]
    assert told[kept:] == [f"{50 - kept} audit messages were dropped for want of room", "event 99"]
    assert site.target.kinds()[kept + 1] == LOST_SOME
    assert site.counted["dropped"] == 50 - kept
    assert site.said("audit_messages_dropped") == 1


def test_a_queue_that_is_full_takes_no_time_of_the_work(site: Site) -> None:
    trail = site.trail(queue_length=5)
    for number in range(8):  # nobody takes them yet
        trail(event(number))
    assert site.counted == {"dropped": 3}
    trail.start()


def test_what_cannot_go_there_at_all_is_counted_and_holds_nothing_up(site: Site) -> None:
    site.target.leaves_out = b"event 1"
    trail = site.trail()
    trail.start()
    for number in range(3):
        trail(event(number))
    wait_until(lambda: site.counted["dropped"], "one to be left out", 10)
    trail(event(3))
    trail.close()
    assert descriptions(site.target) == [
        "event 0",
        "event 2",
        "1 audit messages were dropped for want of room",
        "event 3",
    ]


def test_an_event_that_cannot_be_written_costs_only_itself(site: Site) -> None:
    trail = site.trail()
    trail.start()
    trail("no event at all")  # type: ignore[arg-type]
    wait_until(lambda: site.counted["dropped"], "it to be given up", 10)
    trail.close()
    assert site.target.kinds() == [START, LOST_SOME, STOP]
    assert site.said("audit_event_not_written") == 1
