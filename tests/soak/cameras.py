"""Cameras: each sends its studies until every object is acknowledged, and no more than the daemon can analyse."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.integration.objects import OP_8_BIT
from tests.integration.upper_layer import ConnectionLost, Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.photographs import Photograph, Sitting, Study

AGAIN_SECONDS = (0.5, 1.5)
LATE_SECONDS = (4.0, 20.0)
"""After the study was closed and, mostly, analysed."""
SEND_AGAIN = {0x0110, *range(0xA700, 0xA800)}
"""Processing failure, and out of resources (PS3.4 table B.2-1): it is not the object's fault."""


@dataclass
class Outbox:
    """What all cameras sent, and how it was answered."""

    studies: list[Study] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, answer: str) -> None:
        with self.lock:
            self.answers[answer] = self.answers.get(answer, 0) + 1


class Camera(threading.Thread):
    """Begins a study whenever `may_begin` says so, until `stop`; then sends what it began, and ends."""

    def __init__(
        self, name: str, port: int, sitting: Sitting, outbox: Outbox, may_begin: Callable[[], bool], seed: int
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.stopping, self.giving_up = threading.Event(), threading.Event()
        self._port, self._sitting, self._outbox, self._may_begin = port, sitting, outbox, may_begin
        self._dice = random.Random(seed)
        self._later: list[tuple[float, int, list[Photograph]]] = []
        self._number = itertools.count()

    def run(self) -> None:
        while not self.giving_up.is_set():
            if self._later and self._later[0][0] <= time.monotonic():
                self._send_all(heapq.heappop(self._later)[2])
            elif not self.stopping.is_set() and self._may_begin():
                self._begin()
            elif self.stopping.is_set() and not self._later:
                return
            else:
                time.sleep(0.1)

    def _begin(self) -> None:
        study = self._sitting.study()
        with self._outbox.lock:
            self._outbox.studies.append(study)
        self._send_all(study.photographs)
        if study.late:
            self._put_off(study.late)
        if study.again:
            self._put_off(study.all)

    def _put_off(self, photographs: list[Photograph]) -> None:
        due = time.monotonic() + self._dice.uniform(*LATE_SECONDS)
        heapq.heappush(self._later, (due, next(self._number), photographs))

    def _send_all(self, photographs: list[Photograph]) -> None:
        """Over one association where that goes well; what is left over another one, a moment later."""
        left = list(photographs)
        while left and not self.giving_up.is_set():
            try:
                with Peer(self._port, {(OP_8_BIT, one.transfer_syntax) for one in left}, calling=self.name) as peer:
                    while left and self._send(peer, left[0]):
                        left.pop(0)
                    if not left:
                        peer.release()
            except (OSError, ConnectionLost, AssertionError) as error:
                self._outbox.count(type(error).__name__)
            if left:
                time.sleep(self._dice.uniform(*AGAIN_SECONDS))

    def _send(self, peer: Peer, photograph: Photograph) -> bool:
        """Whether the camera may forget it."""
        photograph.sent += 1
        status, comment = peer.store(
            (OP_8_BIT, photograph.transfer_syntax), photograph.sop_instance_uid, photograph.content
        )
        self._outbox.count(f"{status:#06x}")
        if status in SEND_AGAIN:
            return False
        if status:
            photograph.refused = f"{status:#06x} {comment}"
        else:
            photograph.acknowledged = True
        return True


class Pace:
    """Whether cameras may begin another study: while few enough are unfinished, as the database was last seen."""

    QUERY = (
        "SELECT (SELECT count(*) FROM studies WHERE open_since IS NOT NULL)"
        " + (SELECT count(*) FROM jobs WHERE kind = 'analyse' AND state IN ('waiting', 'running')),"
        " (SELECT count(*) FROM jobs WHERE kind = 'deliver' AND state IN ('waiting', 'running'))"
    )

    def __init__(self, url: str, studies: int, deliveries: int) -> None:
        self._url, self._studies, self._deliveries = url, studies, deliveries
        self._free, self._lock = studies, threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.unfinished: list[int] = []
        """Studies, a look each: the queue is never empty, and does not grow."""
        self._thread.start()

    def may_begin(self) -> bool:
        """True for as many cameras as there is room for."""
        with self._lock:
            self._free -= 1
            return self._free >= 0

    def close(self) -> None:
        self._over.set()
        self._thread.join(30)

    def _look(self) -> None:
        import psycopg

        while not self._over.wait(0.3):
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
                    while not self._over.wait(0.3):
                        row = connection.execute(self.QUERY).fetchone()
                        assert row is not None
                        self.unfinished.append(row[0])
                        with self._lock:
                            self._free = self._studies - row[0] if row[1] < self._deliveries else 0
            except psycopg.Error:
                continue
