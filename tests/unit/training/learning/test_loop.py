"""A run from its start to its end, however often it is interrupted on the way."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.training.learning.conftest import LABELS, Micro, Training, Validation, recipe, rows, run
from training.errors import MemoryExhausted, RunError
from training.learning.checkpoints import BEST, LAST, best_weights, read_checkpoint
from training.learning.loop import Outcome
from training.learning.stopping import Stop

TIMINGS = ("images_per_second", "waiting", "seconds")


def history(folder: Path) -> list[dict[str, str]]:
    """Of the csv file, without what a clock has measured."""
    read = csv.DictReader(io.StringIO((folder / "history.csv").read_text()))
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in read]


def assert_same_run(folder: Path, expected: Path) -> None:
    assert history(folder) == history(expected)
    for name in (LAST, BEST):
        ours, theirs = read_checkpoint(folder / name), read_checkpoint(expected / name)
        for part in ("network", "averaged"):
            for key, value in theirs[part].items():
                assert torch.equal(ours[part][key], value), f"{name}: {part}: {key}"
        for number, state in theirs["optimiser"]["state"].items():
            for key, value in state.items():
                assert torch.equal(ours["optimiser"]["state"][number][key], value)


class Interrupted(Training):
    """Asks the run to stop while it is in its step `at`, counted over the epochs from 0."""

    def __init__(self, at: int, stop: Stop) -> None:
        super().__init__(recipe(), rows(34))
        self.at, self.stop = at, stop

    def known_in_step(self, epoch: int, step: int) -> int:
        if (epoch - 1) * self.steps_per_epoch + step == self.at:
            self.stop.ask()
        return super().known_in_step(epoch, step)


def test_a_run_learns_and_keeps_its_books(finished: tuple[Path, Outcome]) -> None:
    folder, outcome = finished
    assert (outcome.epochs, outcome.stopped) == (3, "finished")
    lines = history(folder)
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]
    assert [line["step"] for line in lines] == ["4", "8", "12"]
    losses = [float(line["training_loss"]) for line in lines]
    assert losses == sorted(losses, reverse=True)
    maps = [float(line["mean_average_precision"]) for line in lines]
    assert outcome.best_map == max(maps)
    assert outcome.best_epoch == maps.index(max(maps)) + 1
    mean = sum(float(lines[0][f"ap.{label}"]) for label in LABELS) / len(LABELS)
    assert maps[0] == pytest.approx(mean)
    assert (folder / "labels.txt").read_text().split() == list(LABELS)


def test_what_is_validated_and_exported_is_the_averaged_network(finished: tuple[Path, Outcome]) -> None:
    folder, outcome = finished
    best = read_checkpoint(folder / BEST)
    kept = best_weights(folder)
    assert best["position"]["best_epoch"] == outcome.best_epoch
    assert not all(torch.equal(kept[name], value) for name, value in best["network"].items())
    line = history(folder)[outcome.best_epoch - 1]
    judged = [run_judged(state) for state in (kept, best["network"])]
    assert judged[0] == pytest.approx(float(line["validation_loss"]), rel=1e-6)
    assert judged[1] != pytest.approx(judged[0], rel=1e-3)


def run_judged(weights: Any) -> float:
    """The validation loss of a network with these weights."""
    from ocunet_pacs.model.network import build_network
    from training.data.manifest import targets
    from training.learning.losses import build_loss
    from training.learning.weights import positive_weights

    with torch.random.fork_rng():
        network = build_network("mobilenetv3_small_050", len(LABELS)).eval()
    network.load_state_dict(weights)
    chosen = recipe().loss
    positive = positive_weights(*targets(rows(34), LABELS), kind=chosen.weights, beta=chosen.beta)
    loss = build_loss(chosen, torch.from_numpy(positive))
    cost = entries = 0.0
    with torch.no_grad():
        for batch in Validation(rows(16, start=100)):
            cost += float(loss(network(batch.images), batch.targets, batch.known).sum())
            entries += int(batch.known.sum())
    return cost / entries


def test_a_run_that_is_interrupted_and_resumed_is_the_same_run(finished: tuple[Path, Outcome], tmp_path: Path) -> None:
    """In the first step; in the last of an epoch, before its validation; in mid-epoch. And best.pt is a checkpoint."""
    folder, before = tmp_path / "run", (1, 0)
    torch.manual_seed(99)  # whatever was drawn before
    for at, where in ((0, (1, 1)), (3, (1, 4)), (6, (2, 3))):
        training = Interrupted(at, stop := Stop())
        outcome = run(folder, training=training, stop=stop, resume=True)
        assert (outcome.stopped, outcome.epochs) == ("interrupted", at // 4)
        if before[1] < 4:
            assert training.asked[0] == before  # no photograph was read for steps that were done
        kept = read_checkpoint(folder / LAST)["position"]
        assert (kept["epoch"], kept["step"]) == where  # the step under way was finished
        before = where
    (folder / LAST).unlink()  # as if it had been killed after an epoch's best.pt and before its last.pt
    training = Training(recipe(), rows(34))
    outcome = run(folder, training=training, resume=True)
    assert training.asked == [(2, 0), (3, 0)]
    assert outcome == Outcome(folder, 3, finished[1].best_epoch, finished[1].best_map, "finished")
    assert_same_run(folder, finished[0])


class Dying(Training):
    """In the second epoch, one step after a checkpoint."""

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[Micro]]:
        for step, batches in enumerate(super().epoch(epoch, first_step), first_step):
            if (epoch, step) == (2, 3):
                raise KeyError("a bug, say")
            yield batches


def test_a_run_that_dies_is_resumed_and_its_events_hold_each_step_once(
    finished: tuple[Path, Outcome], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyError):
        run(tmp_path / "run", training=Dying(recipe(), rows(34)))
    kept = read_checkpoint(tmp_path / "run" / LAST)["position"]
    assert (kept["epoch"], kept["step"]) == (2, 2)  # checkpoint_steps
    run(tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", finished[0])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("step/loss")] == list(range(1, 13))
    assert [event.step for event in events.Scalars("epoch/mean_average_precision")] == [4, 8, 12]
    written = [float(line["validation_loss"]) for line in history(tmp_path / "run")]
    assert [event.value for event in events.Scalars("epoch/validation_loss")] == pytest.approx(written)


def test_a_signal_that_ends_the_loading_processes_too_is_an_interruption(tmp_path: Path) -> None:
    class Losing(Interrupted):
        def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[Micro]]:
            for batches in super().epoch(epoch, first_step):
                yield batches
                if self.stop.wanted:
                    raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")

    stop = Stop()
    assert run(tmp_path / "run", training=Losing(2, stop), stop=stop).stopped == "interrupted"
    assert read_checkpoint(tmp_path / "run" / LAST)["position"]["step"] == 3
    with pytest.raises(RuntimeError, match="DataLoader worker"):  # nobody asked for a stop
        run(tmp_path / "run", training=Losing(3, stop), stop=Stop(), resume=True)


def test_a_finished_run_has_nothing_left_to_do(finished: tuple[Path, Outcome]) -> None:
    folder, outcome = finished
    training = Training(recipe(), rows(34))
    assert run(folder, training=training, resume=True) == outcome
    assert training.asked == []


def test_a_run_stops_when_it_gets_no_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.learning import loop
    from training.learning.validation import Judgement

    maps = iter([0.5, 0.75, 0.75, 0.625, 0.9])
    seen = []

    def judged(network: Any, *_: Any, **__: Any) -> Judgement:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return Judgement(0.1, dict.fromkeys(LABELS, next(maps)))

    monkeypatch.setattr(loop, "validate", judged)
    chosen = recipe(epochs=9, patience=2)
    outcome = run(tmp_path / "run", chosen, training=Training(chosen, rows(16)))
    assert outcome == Outcome(tmp_path / "run", 4, 2, 0.75, "early")  # as good is not better
    assert all(torch.equal(value, seen[1][name]) for name, value in best_weights(tmp_path / "run").items())
    assert run(tmp_path / "run", chosen, training=Training(chosen, rows(16)), resume=True).stopped == "early"


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_batch_is_one_optimiser_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulation: int) -> None:
    calls = []
    plain = torch.optim.AdamW.step

    def counted(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        calls.append(self.param_groups[0]["lr"])
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    chosen = recipe(epochs=3, accumulation=accumulation)
    run(tmp_path / "run", chosen, training=Training(chosen, rows(16)))
    assert len(calls) == 6  # two steps an epoch
    assert calls[:2] == pytest.approx([0.5e-3, 1e-3])  # linear warm-up over the first epoch
    cosine = [1e-7 + (1e-3 - 1e-7) * (1 + math.cos(math.pi * n / 4)) / 2 for n in range(4)]
    assert calls[2:] == pytest.approx(cosine)


def test_a_folder_with_a_run_is_not_written_over(finished: tuple[Path, Outcome]) -> None:
    with pytest.raises(RunError, match="holds a run already; resume it"):
        run(finished[0])


def test_another_recipe_is_not_resumed(finished: tuple[Path, Outcome]) -> None:
    before = (finished[0] / "recipe.yaml").read_bytes()
    with pytest.raises(RunError, match=r"optimisation\.learning_rate was 0\.001, is 0\.01"):
        run(finished[0], recipe(learning_rate=0.01), resume=True)
    with pytest.raises(RunError, match="data: the rows"):
        run(finished[0], training=Training(recipe(), rows(33)), resume=True)
    assert (finished[0] / "recipe.yaml").read_bytes() == before


def test_where_there_is_nothing_to_resume_the_run_begins(tmp_path: Path) -> None:
    assert run(tmp_path / "run", recipe(epochs=1), resume=True).epochs == 1


class Marred(Training):
    """One picture of the second epoch's third step is not finite."""

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[Micro]]:
        for step, batches in enumerate(super().epoch(epoch, first_step), first_step):
            if (epoch, step) == (2, 2):
                batches[0].images[0, 0, 0, 0] = math.nan
            yield batches


def test_a_loss_that_is_not_finite_ends_the_run_and_leaves_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"epoch 2, step 3: the loss is not finite.*optimisation\.learning_rate"):
        run(tmp_path / "run", training=Marred(recipe(), rows(34)))
    kept = read_checkpoint(tmp_path / "run" / LAST)
    assert (kept["position"]["epoch"], kept["position"]["step"]) == (2, 2)
    assert all(torch.isfinite(value).all() for value in kept["network"].values())


def test_a_device_without_memory_is_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocunet_pacs.model.network import OcuNet

    plain = OcuNet.forward

    def forward(self: OcuNet, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(self, images)

    monkeypatch.setattr(OcuNet, "forward", forward)
    with pytest.raises(MemoryExhausted, match=r"a pass of 8 photographs(.|\n)*accumulation: 2"):
        run(tmp_path / "run", recipe(epochs=1))
    advised = run(tmp_path / "run", recipe(epochs=1, accumulation=2), validation=SmallBatches(rows(16, start=100)))
    assert advised.stopped == "finished"


class SmallBatches(Validation):
    def __iter__(self) -> Iterator[Micro]:
        for indices in torch.arange(len(self.rows)).split(4):
            yield self._all._micro(indices)


@pytest.mark.parametrize(("size", "accumulation"), [(8, 8), (9, 1)])
def test_passes_of_one_photograph_are_refused(tmp_path: Path, size: int, accumulation: int) -> None:
    from training.learning.distributed import World
    from training.learning.loop import check_passes

    chosen = recipe(batch_size=size, accumulation=accumulation)
    with pytest.raises(RunError, match="two photographs at least"):
        check_passes(chosen, World(processes=2 if size == 9 else 1))


def test_a_display_is_told_what_happens(tmp_path: Path) -> None:
    told: list[Any] = []

    class Listening:
        def begin(self, *facts: int) -> None:
            told.append(facts)

        def step(self, step: int, loss: float, images: int) -> None:
            told.append((step, images))

        def validating(self) -> None:
            told.append("validating")

        def end(self, record: Any, *, best: bool) -> None:
            told.append((record.epoch, best))

        def say(self, sentence: str) -> None:
            told.append(sentence)

    clock = iter(range(1000))
    run(tmp_path / "run", recipe(epochs=1), display=Listening(), now=lambda: float(next(clock)))
    assert told == ["Random weights (seed 42).", (1, 1, 4, 0), (1, 8), (2, 8), (3, 8), (4, 8), "validating", (1, True)]
    line = next(csv.DictReader(io.StringIO((tmp_path / "run" / "history.csv").read_text())))
    # One tick for each look at the clock: of a step's two, one is spent waiting.
    assert (line["waiting"], line["images_per_second"]) == ("0.5", "4.0")
    assert line["seconds"] == "9.0"
