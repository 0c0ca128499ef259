"""What an examination says of itself while it goes on: a sign of life after every frame, usable or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.gates import Verdict
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.pipeline.examine import Source, examine
from tests.unit.pipeline.fakes import OP, Classifier, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.domain.result import Photograph
    from ocunet_pacs.domain.study import ImageHeader

MANY = 40
AHEAD = 4
UNGRADABLE = Reason(ReasonCode.UNGRADABLE, "the test shows nothing")
CHILD = Reason(ReasonCode.CHILD, "the test is young")


class Stopped(Exception):
    """Asked to stop at a sign of life."""


class Watched(Reader):
    """Counts what was read: headers, and the frames after each."""

    read = 0
    shows_nothing = False

    def header(self, path: Path) -> ImageHeader:
        self.read += 1
        return super().header(path)

    def photographs(self, path: Path) -> Iterator[Photograph]:
        for photograph in super().photographs(path):
            self.read += 1
            yield replace(photograph, reasons=(UNGRADABLE,)) if self.shows_nothing else photograph


def ask_to_stop(reader: Watched, names: list[str], verdict: Verdict) -> None:
    """Examine these until the second sign of life."""
    signs: list[None] = []

    def alive() -> None:
        signs.append(None)
        if len(signs) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        examine(
            [Source(name, OP, number, Path(name)) for number, name in enumerate(names)],
            reader=reader,
            eligibility=lambda _header, _sender: verdict,
            classifier=Classifier(),
            reporter=None,
            keep_picture=lambda _made: None,
            batch_size=AHEAD,
            alive=alive,
        )


@pytest.mark.parametrize("why", ["unreadable", "ineligible", "ungradable"])
def test_a_stop_is_heard_among_pictures_that_nobody_scores(why: str) -> None:
    reader, names = Watched(), [f"1.{number}" for number in range(MANY)]
    reader.shows_nothing = why == "ungradable"
    if why == "unreadable":
        reader.broken = dict.fromkeys(names, ReasonCode.UNREADABLE_DATASET)
    ask_to_stop(reader, names, Verdict(stop=CHILD) if why == "ineligible" else Verdict())
    assert reader.read <= 2 * (AHEAD + 3), "of what was read ahead no more than its header and its frame"


def test_a_stop_is_heard_within_a_file_whose_frames_decide_together() -> None:
    reader = Watched(frames_of={"1.1": MANY})
    reader.shows_nothing = True
    ask_to_stop(reader, ["1.1"], Verdict(afterwards=CHILD))
    assert reader.read <= 1 + AHEAD + 3
