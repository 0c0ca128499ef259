"""Who may send, and how fast. Pure rules and counts: knows no network, and is told the time.

A sender is what its association says and what its connection shows: a calling AE title, which anybody can type, and an
address. The first source that fits both names where an object came from; `AccessRules` decides about the rest.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The only application context that DICOM has (PS3.7 annex A.2.1)."""
_WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class SourceRule:
    """One sender, or several alike, and what is different for it. Without a name: every sender that is not listed."""

    name: str = ""
    ae_title: str | None = None
    network: IPv4Network | IPv6Network | None = None
    max_associations: int | None = None
    max_instances_per_minute: int | None = None
    quiet_period: timedelta = timedelta(seconds=10)
    close_on_release: bool = False
    echo_only: bool = False
    """May ask whether we are there, and nothing else."""

    def fits(self, calling_ae_title: str, address: str) -> bool:
        """Whether the sender is this one. An address that cannot be read fits only rules without a network."""
        if self.ae_title is not None and self.ae_title != calling_ae_title:
            return False
        return self.network is None or _is_in(address, self.network)


UNLISTED = SourceRule()
"""Any sender, with nothing that is different for it."""
NO_SENDER = SourceRule(echo_only=True)
"""Somebody who is let in for another reason than to send us objects."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ (PS3.8 table 9-21): its three codes, and a word for logs and metrics."""

    result: int
    """1: permanent, 2: transient."""
    source: int
    """1: service user, 2: ACSE, 3: presentation."""
    diagnostic: int
    word: str


# What an address may not do has no code of its own in the table: the sender is told what it is told for its AE title.
APPLICATION_CONTEXT_UNKNOWN = Rejection(1, 1, 2, "application_context")
UNKNOWN_CALLING_AE_TITLE = Rejection(1, 1, 3, "calling_ae_title")
UNKNOWN_ADDRESS = Rejection(1, 1, 3, "address")
UNKNOWN_CALLED_AE_TITLE = Rejection(1, 1, 7, "called_ae_title")
SENDER_HAS_ENOUGH = Rejection(2, 3, 2, "source_limit")
ALL_TAKEN = Rejection(2, 3, 2, "limit")
STOPPING = Rejection(2, 3, 1, "stopping")


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may associate. The defaults let everybody in who calls us by any name."""

    called_ae_title: str | None = None
    """The only name that we answer to; None: any."""
    sources: tuple[SourceRule, ...] = ()
    """The first that fits counts."""
    others: SourceRule | None = UNLISTED
    """For senders that fit none of `sources`; None: they are turned away."""
    max_associations: int = 64
    committers: Mapping[str, str] = field(default_factory=dict)
    """Calling AE titles of the destinations that commit to what they store, with the destinations' names. They are let
    in to say so; sending objects is another matter, for `sources` and `others`."""

    def judge(self, called_ae_title: str, calling_ae_title: str, address: str) -> SourceRule | Rejection:
        """The rule for a sender, or why it is turned away, whoever else is there."""
        if self.called_ae_title is not None and called_ae_title != self.called_ae_title:
            return UNKNOWN_CALLED_AE_TITLE
        for source in self.sources:
            if source.fits(calling_ae_title, address):
                return source
        if self.others is not None:
            return self.others
        titles = {source.ae_title for source in self.sources}
        if calling_ae_title in self.committers and calling_ae_title not in titles:
            return NO_SENDER
        return UNKNOWN_ADDRESS if titles & {None, calling_ae_title} else UNKNOWN_CALLING_AE_TITLE

    def commits_for(self, calling_ae_title: str, address: str) -> str:
        """The destination as which somebody may say what it commits to; "" for everybody else.

        Who has its AE title, and its address too where a source says that this AE title comes from there only.
        """
        listed = [source for source in self.sources if source.ae_title == calling_ae_title]
        if listed and not any(source.fits(calling_ae_title, address) for source in listed):
            return ""
        return self.committers.get(calling_ae_title, "")


class Places:
    """How many associations there are, in all and of each source. Used by many threads at once."""

    def __init__(self, max_associations: int) -> None:
        self._max = max_associations
        self._taken: Counter[str] = Counter()
        self._lock = Lock()
        self._closed = False

    def take(self, source: SourceRule) -> Rejection | None:
        """Take a place, or say why there is none; what was taken is given back with `leave`, once."""
        with self._lock:
            if self._closed:
                return STOPPING
            if self._taken.total() >= self._max:
                return ALL_TAKEN
            if source.max_associations is not None and self._taken[source.name] >= source.max_associations:
                return SENDER_HAS_ENOUGH
            self._taken[source.name] += 1
            return None

    def limit(self, max_associations: int) -> None:
        """So many from now on; whoever has a place keeps it."""
        with self._lock:
            self._max = max_associations

    def leave(self, source: SourceRule) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[source.name] -= 1

    def close(self) -> None:
        """From now on there is none."""
        with self._lock:
            self._closed = True

    @property
    def taken(self) -> int:
        """How many are taken."""
        with self._lock:
            return self._taken.total()


class Pace:
    """How many objects each source sent in the last minute. Used by many threads at once.

    `monotonic` gives seconds. The window slides: a source never has more than its number in any sixty seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._sent: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = Lock()

    def may_send(self, source: SourceRule) -> bool:
        """Whether the source may send an object now; it then counts. One that may not does not count."""
        if source.max_instances_per_minute is None:
            return True
        with self._lock:
            now, sent = self._monotonic(), self._sent[source.name]
            while sent and sent[0] <= now - _WINDOW:
                sent.popleft()
            if len(sent) >= source.max_instances_per_minute:
                return False
            sent.append(now)
            return True


def _is_in(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        # What a socket for both kinds of address calls an IPv4 sender.
        found = found.ipv4_mapped
    return found in network
