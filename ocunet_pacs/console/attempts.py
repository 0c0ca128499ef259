"""Wrong tokens, counted by address: whoever guesses is not compared any more for a while."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 10
_WITHIN_S = 60.0
_ADDRESSES = 1024
_NETWORK_6 = 64
"""Who has one address of IPv6 has that many bits of them to choose from."""


class Attempts:
    """Wrong tokens of the last minute; of the addresses that were wrong longest ago the first are forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def are_too_many(self, peer: str) -> bool:
        """Whether the peer must wait before its next token is looked at."""
        times = self._wrong.get(_neighbourhood(peer), deque())
        while times and times[0] <= self._clock() - _WITHIN_S:
            times.popleft()
        return len(times) >= _MOST

    def note(self, peer: str) -> None:
        """The peer gave a wrong one."""
        name = _neighbourhood(peer)
        self._wrong.setdefault(name, deque(maxlen=_MOST)).append(self._clock())
        self._wrong.move_to_end(name)
        if len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)


def _neighbourhood(peer: str) -> str:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _NETWORK_6), strict=False))
    return str(address)
