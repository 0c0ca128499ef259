"""Words between roles on one host: heard at once, and never in the way."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

from ocunet_pacs.app.process import StopFlag
from ocunet_pacs.app.wake import Waiting, Waker

FOREVER = 60.0


def waits(waiting: Waiting) -> tuple[threading.Thread, list[bool]]:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(waiting.wait(FOREVER)), daemon=True)
    thread.start()
    time.sleep(0.2)
    return thread, answers


def test_a_word_ends_the_waiting_of_its_role_and_of_no_other(tmp_path: Path) -> None:
    with (
        closing(Waiting(StopFlag(), tmp_path, "work")) as worker,
        closing(Waiting(StopFlag(), tmp_path, "deliver")) as d,
    ):
        _one_by_one(tmp_path, worker, d)


def _one_by_one(tmp_path: Path, worker: Waiting, sender: Waiting) -> None:
    thread, answers = waits(worker)
    other, none = waits(sender)
    Waker(tmp_path, "work")()
    thread.join(30)
    assert answers == [False], "awake, and not asked to stop"
    assert other.is_alive()
    assert none == []
    Waker(tmp_path, "deliver")()
    other.join(30)
    assert none == [False]


def test_a_word_that_comes_before_the_waiting_is_not_lost(tmp_path: Path) -> None:
    with closing(Waiting(StopFlag(), tmp_path, "work")) as waiting:
        Waker(tmp_path, "work")()
        thread, _ = waits(waiting)
        thread.join(30)
    assert not thread.is_alive()


def test_a_stop_ends_the_waiting_too(tmp_path: Path) -> None:
    stop = StopFlag()
    with closing(Waiting(stop, tmp_path, "work")) as waiting:
        thread, answers = waits(waiting)
        stop.set()
        thread.join(30)
        assert waiting.is_set()
    assert answers == [True]


def test_nobody_listening_is_nobodys_trouble(tmp_path: Path) -> None:
    Waker(tmp_path, "work")()
    waiting = Waiting(StopFlag(), tmp_path, "work")
    (left,) = (tmp_path / "wake").iterdir()
    assert waiting._socket is not None
    waiting._socket.close()
    assert left.exists(), "a process that ends leaves it"
    Waker(tmp_path, "work")()
    assert not left.exists(), "and whoever speaks next tidies up"


def test_a_store_with_a_long_path_goes_without(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    waiting = Waiting(StopFlag(), deep, "work")
    began = time.monotonic()
    assert waiting.wait(0.05) is False
    assert time.monotonic() > began
    Waker(deep, "work")()


def test_more_words_than_anybody_reads_do_no_harm(tmp_path: Path) -> None:
    with closing(Waiting(StopFlag(), tmp_path, "work")) as waiting:
        for _ in range(2000):
            Waker(tmp_path, "work")()
        for _ in range(2000):
            waiting.wait(0.0)
        thread, answers = waits(waiting)
        assert answers == [], "what was heard is not heard again"
        Waker(tmp_path, "work")()
        thread.join(30)
    assert answers == [False]
