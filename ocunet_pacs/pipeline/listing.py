"""Every study of a window, although archives answer with no more than so many, and not all of them say so.

A window that may have been cut is asked for again in halves: days first, then hours of a day. What may have been cut:
an answer that says so, a long one, and one whose length is a round number, as limits are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocunet_pacs.domain.backfill import FoundStudy, Listing
    from ocunet_pacs.domain.dates import Window

LONG = 100
"""Studies in one answer; no archive that we know stops earlier, and few clinics take as many in a day."""


class Lister:
    """Asks `ask`; what remains cut at the shortest window is told to `cut`. Holds a day's studies, or `LONG`."""

    def __init__(self, ask: Callable[[Window], Listing], cut: Callable[[Window], None], *, newest_first: bool) -> None:
        self._ask = ask
        self._cut = cut
        self._newest_first = newest_first

    def batches(self, window: Window) -> Iterator[list[FoundStudy]]:
        """The window's studies, each once, a part of the window at a time, everything in order."""
        answer = self._ask(window)
        halves = window.halves()
        if window.days > 1 and halves is not None and may_be_cut(answer):
            for half in reversed(halves) if self._newest_first else halves:
                yield from self.batches(half)
            return
        studies = {study.study_instance_uid: study for study in answer.studies}
        if window.days == 1 and may_be_cut(answer):
            studies |= self._of_day(window, answer)
        yield sorted(studies.values(), key=lambda s: (s.day, s.time, s.study_instance_uid), reverse=self._newest_first)

    def _of_day(self, window: Window, answer: Listing) -> dict[str, FoundStudy]:
        """What the halves of a day, or of some of its hours, add to `answer`.

        Studies without a time match no hours, so halves are only ever added to the whole.
        """
        found = {study.study_instance_uid: study for study in answer.studies}
        halves = window.halves()
        if halves is None:
            if not answer.complete:
                self._cut(window)
            return found
        answers = [self._ask(half) for half in halves]
        sets = [{study.study_instance_uid for study in part.studies} for part in answers]
        if sets[0] == sets[1] == set(found):
            # It ignores the time, or has no room for any answer: there is no smaller question.
            if not (answer.complete or all(part.complete for part in answers)):
                self._cut(window)
            return found
        for half, part in zip(halves, answers, strict=True):
            if may_be_cut(part):
                found |= self._of_day(half, part)
            found |= {study.study_instance_uid: study for study in part.studies}
        return found


def may_be_cut(answer: Listing) -> bool:
    """Whether there may be more than was answered."""
    number = len(answer.studies)
    return not answer.complete or number >= LONG or (number >= 10 and number % 10 == 0)
