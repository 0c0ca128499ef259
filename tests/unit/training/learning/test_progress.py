"""What a person sees of a run."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from training.learning.position import EpochRecord
from training.learning.progress import Display, Lines, clock_time, display_on

RECORD = EpochRecord(2, 20, 1e-4, 0.51234, 0.4, 0.61237, {"DR": 0.6, "MH": math.nan}, 1.5, 0, 100.0, 0.125, 90.4)


def test_elsewhere_than_on_a_terminal_there_are_plain_lines() -> None:
    file = io.StringIO()
    with display_on(Console(file=file, force_terminal=False)) as display:
        tell(display)
    assert file.getvalue().splitlines() == [
        "starts from nothing [really]",
        (
            "epoch 2/5: loss 0.5123, validation loss 0.4000, mAP 0.6124 (best), 100.0 images/s "
            "(12% of the time waiting for data), 0:01:30, 0:04:31 left"
        ),
    ]


def test_a_terminal_has_bars_and_a_line_for_each_epoch() -> None:
    file = io.StringIO()
    with display_on(Console(file=file, force_terminal=True, width=160, color_system=None)) as display:
        tell(display)
    said = file.getvalue()
    assert "starts from nothing [really]" in said
    assert "epoch 2: loss 0.5123, validation loss 0.4000, mAP 0.6124 (best)" in said
    assert "epoch 2/5" in said
    assert "20/50" in said  # of all steps


def tell(display: Display) -> None:
    display.say("starts from nothing [really]")
    display.begin(2, 5, 10, 0)
    for step in range(1, 11):
        display.step(step, 0.5, 4)
    display.validating()
    display.end(RECORD, best=True)


def test_a_long_epoch_says_now_and_then_how_far_it_is() -> None:
    times = iter([0.0, 0.0, 10.0, 31.0, 40.0, 62.0])
    said: list[str] = []
    lines = Lines(said.append, lambda: next(times))
    lines.begin(1, 3, 10, 0)
    for step in range(1, 5):
        lines.step(step, 0.25, 16)
    assert said == [
        "epoch 1/3: step 2/10, loss 0.2500, 1.0 images/s, 0:02:04 left of the epoch",
        "epoch 1/3: step 4/10, loss 0.2500, 1.0 images/s, 0:01:33 left of the epoch",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3723.2, "1:02:03"), (360000, "100:00:00")]
)
def test_clock_time(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text
