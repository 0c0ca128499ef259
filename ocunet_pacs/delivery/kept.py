"""Associations that stay open for a moment, so that the objects of a study share one."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pynetdicom import evt

from ocunet_pacs.delivery.association import Congested, associate, in_our_words
from ocunet_pacs.delivery.encodings import contexts
from ocunet_pacs.delivery.wire import Provider
from ocunet_pacs.domain.errors import PeerUnavailable, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

    from pydicom.dataset import Dataset
    from pynetdicom.presentation import PresentationContext

    from ocunet_pacs.delivery.association import Destination

_MOST_OBJECTS = 100
"""Then an association is released all the same: some archives do not look at what came before its end."""
_IS_ANSWER = 0x8000
"""In a Command Field (PS3.7 section E.1)."""
_SETTLES_S = 1.0
"""How long a peer may still count an association that has ended."""


class AnswerLost(PeerUnavailable):
    """No answer that can be believed; the peer may have the object or not. `broke`: the association ended early."""

    def __init__(self, message: str, *, broke: bool = False) -> None:
        self.broke = broke
        super().__init__(message)


class KeptAssociation:
    """One association, used by one thread at a time. Answers are believed only when they name their request."""

    def __init__(self, destination: Destination, calling_ae_title: str, offered: Sequence[PresentationContext]) -> None:
        self._destination = destination
        self._answered: list[int] = []
        self.sent = 0
        self.offered = {(str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in offered}
        self._association = associate(destination, calling_ae_title, offered, [(evt.EVT_DIMSE_RECV, self._note_answer)])
        self.accepted = {
            (str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in self._association.accepted_contexts
        }

    def _note_answer(self, event: evt.Event) -> None:
        command = event.message.command_set
        if command.CommandField & _IS_ANSWER:
            self._answered.append(int(command.MessageIDBeingRespondedTo))

    @property
    def is_open(self) -> bool:
        """Whether another object may be sent over it, as far as we know.

        Not when a message is there that nobody asked for: it would be taken for the next answer.
        """
        association = self._association
        return association.is_established and association.dimse.msg_queue.empty() and self.sent < _MOST_OBJECTS

    def store(self, content: Path | Dataset) -> int:
        """Send one object; the status that was answered.

        AnswerLost; StoreError when the file cannot be read; PeerBusy. All of them leave it closed.
        """
        name = self._destination.name
        association = self._association
        self.sent += 1
        self._answered.clear()
        try:
            answer = self._ask(content)
        except BaseException:
            # Half a message may be on its way.
            association.abort()
            raise
        if "Status" in answer:
            if self._answered == [self.sent]:
                return int(answer.Status)
            association.abort()
            raise AnswerLost(f"{name}: it answered what was not asked; the association was aborted")
        if isinstance(association.dimse, Provider) and association.dimse.is_over:
            raise AnswerLost(f"{name}: no answer came within {self._destination.timeout}")
        raise AnswerLost(f"{name}: the connection broke before an answer came", broke=True)

    def _ask(self, content: Path | Dataset) -> Dataset:
        with in_our_words(self._destination, self._association):
            try:
                answer: Dataset = self._association.send_c_store(content, msg_id=self.sent)
            except RuntimeError as error:
                # Not established any more.
                raise AnswerLost(f"{self._destination.name}: the association ended early", broke=True) from error
            except OSError as error:
                # The library reads the file as it sends it; what goes wrong with the connection it keeps to itself.
                raise StoreError("an object to deliver cannot be read") from error
        return answer

    def release(self) -> None:
        """End it in good order, or at all."""
        # Its other end may be gone at any moment, and nothing hangs on how this ends.
        with suppress(Exception):
            self._association.release()


class KeptAssociations:
    """Those to one destination that wait for their next object; each is released when it waited for `idle`.

    Safe for threads: each has an association for itself while it sends. With `idle` zero every object has its own.
    """

    def __init__(self, destination: Destination, calling_ae_title: str, idle: timedelta) -> None:
        self._destination = destination
        self._calling_ae_title = calling_ae_title
        self._idle_s = idle.total_seconds()
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._failure = (0.0, "")
        self._waiting: dict[KeptAssociation, threading.Timer] = {}
        self._lent = 0
        self._ended = -_SETTLES_S
        self._closed = False

    def borrow(self, sop_class: str, syntax: str, *, fresh: bool = False) -> KeptAssociation:
        """One on which this encoding of this class was offered, the caller's until it is given back.

        PeerUnavailable, PeerRefused. A peer that takes no more associations than we have gets the object over one of
        those: the call waits for it. `fresh`: none that was used before.
        """
        began = time.monotonic()
        ends = began + self._destination.timeout.total_seconds()
        while True:
            kept = None if fresh else self._take(sop_class, syntax)
            if kept is not None:
                return kept
            try:
                return self._open(sop_class, syntax, began)
            except Congested:
                if not self._make_room(ends):
                    raise

    def _take(self, sop_class: str, syntax: str) -> KeptAssociation | None:
        while True:
            with self._changed:
                fitting = [kept for kept in self._waiting if (sop_class, syntax) in kept.offered]
                if not fitting:
                    return None
                kept = fitting[-1]
                self._call_up(kept)
            if kept.is_open:
                return kept
            self._end(kept)

    def _open(self, sop_class: str, syntax: str, began: float) -> KeptAssociation:
        # One after the other: only then is it known, when a peer takes no more, whether it has one of ours.
        with self._opening:
            failed_at, reason = self._failure
            if failed_at > began:
                # Who asked before us waited for it, and we for him.
                raise PeerUnavailable(reason)
            try:
                kept = KeptAssociation(self._destination, self._calling_ae_title, contexts(sop_class, syntax))
            except Congested:
                raise
            except PeerUnavailable as error:
                self._failure = time.monotonic(), str(error)
                raise
            with self._changed:
                self._lent += 1
            return kept

    def _make_room(self, ends: float) -> bool:
        """Release one that waits, or wait for one that is in use; False when there is none, or the time is over."""
        with self._changed:
            now = time.monotonic()
            if now >= ends:
                return False
            if not self._waiting:
                if self._lent:
                    self._changed.wait(ends - now)
                elif now < self._ended + _SETTLES_S:
                    self._changed.wait(_SETTLES_S / 10)
                else:
                    return False
                return True
            kept = next(iter(self._waiting))
            self._call_up(kept)
        self._end(kept)
        return True

    def _call_up(self, kept: KeptAssociation) -> None:
        """From those that wait to those that are in use, be it to end: the peer counts it until then."""
        self._waiting.pop(kept).cancel()
        self._lent += 1

    def _end(self, kept: KeptAssociation) -> None:
        kept.release()
        with self._changed:
            self._lent -= 1
            self._ended = time.monotonic()
            self._changed.notify_all()

    def give_back(self, kept: KeptAssociation) -> None:
        """It may serve another object."""
        with self._changed:
            if kept.is_open and self._idle_s and not self._closed:
                timer = threading.Timer(self._idle_s, self._expire, [kept])
                timer.daemon = True
                self._waiting[kept] = timer
                timer.start()
                self._lent -= 1
                self._changed.notify_all()
                return
        self._end(kept)

    def _expire(self, kept: KeptAssociation) -> None:
        with self._changed:
            if kept not in self._waiting:
                return  # somebody took it at this very moment
            self._call_up(kept)
        self._end(kept)

    def close(self) -> None:
        """Release those that wait, and let no other wait."""
        with self._changed:
            self._closed = True
            waiting = list(self._waiting)
            for kept in waiting:
                self._call_up(kept)
        for kept in waiting:
            self._end(kept)
