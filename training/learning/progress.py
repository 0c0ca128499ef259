"""How a run shows itself: a bar with rate and time left on a terminal, a line now and then elsewhere, or nothing."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Progress

    from training.learning.position import EpochRecord

_LINE_EVERY_S: Final = 30.0


class Display(Protocol):
    """What the loop tells. Epochs count from 1, steps are those done."""

    def begin(self, epoch: int, epochs: int, steps: int, step: int) -> None:
        """Epoch `epoch` of `epochs` begins, or goes on after `step` of its `steps`."""

    def step(self, step: int, loss: float, images: int) -> None:
        """A step over `images` photographs is done; `loss` is its mean over known entries."""

    def validating(self) -> None:
        """The epoch's steps are done; the averaged network is being judged."""

    def end(self, record: EpochRecord, *, best: bool) -> None:
        """The epoch is done."""

    def say(self, sentence: str) -> None:
        """Something that a person should know."""


class Silent:
    """Shows nothing: for every process but the first, and for callers that need no display."""

    def begin(self, epoch: int, epochs: int, steps: int, step: int) -> None:
        """See `Display`."""

    def step(self, step: int, loss: float, images: int) -> None:
        """See `Display`."""

    def validating(self) -> None:
        """See `Display`."""

    def end(self, record: EpochRecord, *, best: bool) -> None:
        """See `Display`."""

    def say(self, sentence: str) -> None:
        """See `Display`."""


class Lines:
    """A line an epoch, and one every half minute within a long one."""

    def __init__(self, write: Callable[[str], object], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._said = self._began = now()
        self._epoch = self._epochs = self._steps = self._images = 0

    def begin(self, epoch: int, epochs: int, steps: int, step: int) -> None:
        """See `Display`."""
        self._epoch, self._epochs, self._steps, self._images = epoch, epochs, steps, 0
        if step:
            self._write(f"epoch {epoch}/{epochs}: goes on after step {step} of {steps}")
        self._said = self._began = self._now()

    def step(self, step: int, loss: float, images: int) -> None:
        """See `Display`."""
        now = self._now()
        self._images += images
        if now - self._said >= _LINE_EVERY_S:
            self._said = now
            rate = self._images / (now - self._began)
            left = clock_time((self._steps - step) * images / rate)
            self._write(
                f"epoch {self._epoch}/{self._epochs}: step {step}/{self._steps}, loss {loss:.4f}, "
                f"{rate:.1f} images/s, {left} left of the epoch"
            )

    def validating(self) -> None:
        """See `Display`."""

    def end(self, record: EpochRecord, *, best: bool) -> None:
        """See `Display`."""
        left = clock_time((self._epochs - record.epoch) * record.seconds)
        self._write(f"{epoch_line(record, self._epochs, best=best)}, {left} left")

    def say(self, sentence: str) -> None:
        """See `Display`."""
        self._write(sentence)


class Bar:
    """One bar for the epochs, one for the steps of the epoch under way, and a line above them for each that is done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._run = progress.add_task("epochs", total=None, facts="")
        self._steps = progress.add_task("steps", total=None, facts="")

    def begin(self, epoch: int, epochs: int, steps: int, step: int) -> None:
        """See `Display`."""
        self._progress.update(self._run, total=epochs * steps, completed=(epoch - 1) * steps + step)
        self._progress.reset(
            self._steps, total=steps, completed=step, description=f"epoch {epoch}/{epochs}", facts="waiting for data"
        )

    def step(self, step: int, loss: float, images: int) -> None:
        """See `Display`."""
        self._progress.advance(self._run)
        self._progress.update(self._steps, completed=step)
        speed = self._progress.tasks[self._steps].speed
        rate = "" if speed is None else f", {speed * images:.1f} images/s"
        self._progress.update(self._steps, facts=f"loss {loss:.4f}{rate}")

    def validating(self) -> None:
        """See `Display`."""
        self._progress.update(self._steps, facts="validating")

    def end(self, record: EpochRecord, *, best: bool) -> None:
        """See `Display`."""
        self._progress.update(self._run, facts=f"mAP {record.mean_average_precision:.4f}")
        self._progress.console.print(epoch_line(record, None, best=best), highlight=False)

    def say(self, sentence: str) -> None:
        """See `Display`."""
        self._progress.console.print(sentence, highlight=False, markup=False)


@contextmanager
def display_on(console: Console) -> Iterator[Display]:
    """The display that suits the console: bars on a terminal, plain lines elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    if not console.is_terminal:
        yield Lines(lambda line: console.file.write(f"{line}\n") and console.file.flush())
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with Progress(*columns, console=console, speed_estimate_period=120.0) as progress:
        yield Bar(progress)


def epoch_line(record: EpochRecord, epochs: int | None, *, best: bool) -> str:
    """A finished epoch in one line."""
    return (
        f"epoch {record.epoch}{f'/{epochs}' if epochs else ''}: loss {record.training_loss:.4f}, "
        f"validation loss {record.validation_loss:.4f}, mAP {record.mean_average_precision:.4f}"
        f"{' (best)' if best else ''}, {record.images_per_second:.1f} images/s "
        f"({record.waiting:.0%} of the time waiting for data), {clock_time(record.seconds)}"
    )


def clock_time(seconds: float) -> str:
    """1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
