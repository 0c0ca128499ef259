"""The first signal asks; the second ends; two at once are one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from training.errors import TrainingError
from training.learning.stopping import Stop, stop_on_signals, until_stopped


def test_asked_twice_means_at_once_unless_it_is_the_same_word() -> None:
    times = iter([10.0, 10.5, 13.0])
    stop = Stop(lambda: next(times))
    assert not stop.wanted
    assert not stop.ask()
    assert stop.wanted
    assert not stop.ask()  # half a second later: a Ctrl-C that torchrun handed on
    assert stop.ask()


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.wanted
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_second_signal_ends_the_process_with_its_status() -> None:
    program = (
        "import signal\n"
        "from training.learning.stopping import stop_on_signals\n"
        "times = iter([0.0, 60.0])\n"
        "with stop_on_signals(lambda: next(times)):\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 128 + signal.SIGINT


@pytest.mark.parametrize("kind", [RuntimeError, TrainingError])
def test_items_end_where_their_processes_do_if_a_stop_was_asked_for(kind: type[Exception]) -> None:
    def dying() -> Iterator[int]:
        yield 1
        yield 2
        raise kind("a loading process died")

    stop = Stop()
    with pytest.raises(kind, match="a loading process died"):
        list(until_stopped(dying(), stop))
    stop.ask()
    assert list(until_stopped(dying(), stop)) == [1, 2]
