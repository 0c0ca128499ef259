"""Whoever asks waits no longer than it can, however long the answer takes."""

from __future__ import annotations

from threading import Event

import pytest

from ocunet_pacs.app.asking import Asking


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_kept_for_a_while() -> None:
    clock = Clock()
    asked: list[float] = []

    def ask() -> int:
        asked.append(clock.now)
        return len(asked)

    asking = Asking(ask, keep=5.0, patience=10.0, clock=clock)
    assert [asking(), asking()] == [1, 1]
    clock.now = 5.0
    assert asking() == 2
    assert asked == [0.0, 5.0]


def test_so_is_an_error() -> None:
    clock = Clock()

    def ask() -> int:
        raise ValueError(clock.now)

    asking = Asking(ask, keep=5.0, patience=10.0, clock=clock)
    for now, raised in ((0.0, "0.0"), (4.0, "0.0"), (6.0, "6.0")):
        clock.now = now
        with pytest.raises(ValueError, match=raised):
            asking()


def test_a_question_that_hangs_is_asked_once_and_waited_for_once() -> None:
    clock, go_on, asked = Clock(), Event(), []

    def ask() -> str:
        asked.append(clock.now)
        go_on.wait(30)
        return "at last"

    asking = Asking(ask, keep=1.0, patience=0.01, clock=clock)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            asking()
        clock.now += 100.0
    assert asked == [0.0], "one thread hangs, not one for each who asks"
    go_on.set()
    assert asking.begin().result(30) == "at last"
