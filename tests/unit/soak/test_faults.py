"""Faults as they come: none begins on a target before the one before it has gone, however long its going takes."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, cast

from tests.soak import faults
from tests.soak.faults import Faults
from tests.soak.timetable import Kind, Planned

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.soak.site import Site


def test_a_fault_waits_until_its_target_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def doing(_site: Site, _dice: random.Random) -> Iterator[str]:
        done.append("taken away")
        yield "a server"
        time.sleep(0.3)  # it starts
        done.append("there again")

    kind = Kind("away", "server", (0.0, 1.0))
    monkeypatch.setitem(faults.KINDS, kind, doing)
    began = time.monotonic()
    ours = Faults(cast("Site", None), began, lambda _said: None)
    ours.run([Planned(0.0, kind, 0.1, 1), Planned(0.1, kind, 0.1, 2)], began + 0.2)
    assert done == ["taken away", "there again"] * 2
    first, second = ours.happened
    assert first.end is not None
    assert second.begin >= first.end
    assert not first.trouble
    assert not second.trouble
