"""Taking a port at a role's start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.app.process import StopFlag

_TRIES = 20
_PAUSE_S = 0.5


def start_patiently(start: Callable[[], None], stop: StopFlag) -> bool:
    """Bind the port, with patience: after a crash the kernel may hold it a moment longer. False when asked to stop."""
    for attempt in range(1, _TRIES + 1):
        try:
            start()
        except ConfigError:
            if attempt == _TRIES:
                raise
            if stop.wait(_PAUSE_S):
                return False
        else:
            return True
    return False
