"""Who a browser is from page to page, and the word that its forms must bring along.

A cookie is an id that we made with our mark on it, so that nobody chooses one. What a form must bring (its seal) is
derived from the id and a secret of this process: another site's page knows neither. A restart ends every session.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_S = 12 * 3600.0
"""A working day; then the token is asked for again."""
_MOST = 256


@dataclass(frozen=True, slots=True)
class Session:
    """One browser. `signed_in`: it gave the token."""

    id: str
    signed_in: bool = False


class Sessions:
    """All sessions of this process. `secret`: 32 random bytes; `clock` in seconds, steady; `new_id`: random hex."""

    def __init__(self, secret: bytes, clock: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._secret = secret
        self._clock = clock
        self._new_id = new_id
        self._signed_in: OrderedDict[str, float] = OrderedDict()

    def start(self, *, signed_in: bool) -> Session:
        """A new session. Of those that are signed in the oldest ends where there are too many."""
        session = Session(self._new_id(), signed_in)
        if signed_in:
            self._signed_in[session.id] = self._clock() + _LONGEST_S
            if len(self._signed_in) > _MOST:
                self._signed_in.popitem(last=False)
        return session

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie of ours; None for anything else."""
        session_id, _, mark = cookie.partition(".")
        if not hmac.compare_digest(_bytes(mark), _bytes(self._mark("cookie", session_id))):
            return None
        return Session(session_id, self._signed_in.get(session_id, 0.0) > self._clock())

    def end(self, session: Session) -> None:
        """Sign out."""
        self._signed_in.pop(session.id, None)

    def cookie(self, session: Session) -> str:
        """What the browser keeps."""
        return f"{session.id}.{self._mark('cookie', session.id)}"

    def seal(self, session: Session) -> str:
        """What every form of this session carries, in hidden."""
        return self._mark("form", session.id)

    def is_sealed(self, session: Session, given: str) -> bool:
        """Whether a form carries it."""
        return hmac.compare_digest(_bytes(given), _bytes(self.seal(session)))

    def _mark(self, purpose: str, session_id: str) -> str:
        return hmac.new(self._secret, _bytes(f"{purpose} {session_id}"), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
