"""The training loop: an epoch is steps and a validation, a step is one optimiser step, made of one or more passes.

What is equal to what. A step's gradient is the sum of its photographs' masked losses divided by the known entries of
the whole batch, however the batch is cut. Only batch norm sees the cut: it works pass by pass. So runs of the same
number of passes a step (processes times `accumulation`) are the same run, up to the order in which float32 gradients
are added: on a CPU within 1e-6 of losses and weights for two passes, within 1e-5 of the first epoch's losses for four,
growing from there. A run that was killed and resumed is the run that was not.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import torch

from ocunet_pacs.model.network import build_network
from training.errors import RunError
from training.learning.checkpoints import BEST, LAST, latest_checkpoint, write_checkpoint
from training.learning.distributed import ALONE
from training.learning.folder import describe, held
from training.learning.identity import identity_of
from training.learning.journal import Journal
from training.learning.learner import Learner
from training.learning.losses import build_loss
from training.learning.memory import memory_advice
from training.learning.position import EpochRecord, Position
from training.learning.precision import precision_of
from training.learning.progress import Silent
from training.learning.randomness import pass_seed, repeatable
from training.learning.schedule import learning_rate
from training.learning.starts import starting_network
from training.learning.stopping import Stop, until_stopped
from training.learning.validation import check_validation, validate
from training.learning.weights import positive_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from ocunet_pacs.model.network import OcuNet
    from training.learning.distributed import World
    from training.learning.feed import Photographs, TrainingFeed, ValidationFeed
    from training.learning.identity import Identity
    from training.learning.losses import MaskedLoss
    from training.learning.progress import Display
    from training.learning.validation import Judgement
    from training.recipe import Recipe

Stopped = Literal["finished", "early", "interrupted"]

_SKIPPED_AT_MOST: Final = 25
"""Steps in a row that the scaler of float16 may skip: it halves its scale, 65536 at first, each time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    folder: Path
    epochs: int
    """Trained and validated, over all resumptions."""
    best_epoch: int
    """From 1; 0 where none was validated. Its averaged weights: `checkpoints.best_weights`."""
    best_map: float
    stopped: Stopped
    """finished; early: no better epoch for `patience`; interrupted: by a signal, and can be resumed."""


def train(
    recipe: Recipe,
    labels: Sequence[str],
    training: TrainingFeed,
    validation: ValidationFeed,
    folder: Path,
    *,
    data: str,
    device: torch.device,
    resume: bool = False,
    world: World = ALONE,
    stop: Stop | None = None,
    display: Display | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Train a network for `labels` by the recipe; every process of `world` calls this with the same arguments.

    `data` is `identity.data_digest` of the rows behind the two feeds: a run is resumed on the same data only. `folder`
    keeps the run (`recipe.yaml`, `labels.txt`, `last.pt`, `best.pt`, `history.csv`, `tensorboard/`); under
    torchrun every process must see it. With `resume` the run there goes on; where there is none yet, it begins. `now`
    tells monotonic seconds. RunError where the run cannot start, be resumed or go on; MemoryExhausted.
    """
    display = display if display is not None and world.first else Silent()
    check_passes(recipe, world)
    check_validation(validation)
    identity = identity_of(recipe, labels, data, _passes(recipe, world))
    precision = precision_of(recipe.optimisation, device).name
    with (
        held(folder) if world.first else nullcontext(),
        repeatable(device),
        memory_advice(recipe, device, precision, world.processes),
    ):
        world.wait()
        kept = _kept(folder, identity, resume=resume)
        network, origin = _network(recipe, labels, kept)
        learner = Learner(network, recipe, device, world)
        position = Position()
        if kept is not None:
            learner.load(kept)
            position = Position.from_dict(kept["position"])
        display.say(origin if kept is None else f"goes on in epoch {position.epoch} after step {position.step}")
        loop = _Loop(
            recipe=recipe,
            labels=tuple(labels),
            training=training,
            validation=validation,
            folder=folder,
            identity=identity,
            origin=origin,
            learner=learner,
            position=position,
            loss=_loss(recipe, training, device),
            device=device,
            world=world,
            stop=stop or Stop(),
            display=display,
            now=now,
        )
        stopped = loop.run()
    return Outcome(folder, position.finished, position.best_epoch, position.best_map, stopped)


@dataclass(kw_only=True)
class _Loop:
    """Epoch, step, pass: each is the method below the one that calls it."""

    recipe: Recipe
    labels: tuple[str, ...]
    training: TrainingFeed
    validation: ValidationFeed
    folder: Path
    identity: Identity
    origin: str
    learner: Learner
    position: Position
    loss: MaskedLoss
    device: torch.device
    world: World
    stop: Stop
    display: Display
    now: Callable[[], float]
    journal: Journal | None = None
    """The first process's."""

    def run(self) -> Stopped:
        """Until the last epoch, or until something ends the run before."""
        if not self.world.first:
            return self._epochs()
        describe(self.folder, self.recipe, self.labels)
        done = self._steps_before() + self.position.step
        with Journal(self.folder, self.labels, self.position.history, done) as self.journal:
            return self._epochs()

    def _epochs(self) -> Stopped:
        chosen, position = self.recipe.optimisation, self.position
        while position.finished < chosen.epochs:
            if chosen.patience and position.best_epoch and position.without_a_better >= chosen.patience:
                return "early"
            if not self._epoch():
                self._save(LAST)
                return "interrupted"
        return "finished"

    def _epoch(self) -> bool:
        """The steps that are left of the epoch, its validation, its record. False where a signal ended it before."""
        self.display.begin(
            self.position.epoch, self.recipe.optimisation.epochs, self.training.steps_per_epoch, self.position.step
        )
        if not self._steps():
            return False
        self.display.validating()
        began = self.now()
        judgement = validate(
            self.learner.average.network,
            self.validation,
            self.labels,
            loss=self.loss,
            precision=self.learner.precision,
            stop=self.stop,
            world=self.world,
            device=self.device,
        )
        if judgement is None:
            return False
        self._close(judgement, self.now() - began)
        return True

    def _steps(self) -> bool:
        """Every step of the epoch that is left. False where a signal asked to stop; the step under way is finished."""
        position, sums, steps = self.position, self.position.sums, self.training.steps_per_epoch
        if position.step == steps:
            return True
        every = self.recipe.optimisation.checkpoint_steps
        ready = self.now()
        feed = self.training.epoch(position.epoch, position.step)
        for step, batches in enumerate(until_stopped(feed, self.stop), position.step):
            arrived = self.now()
            if self._stopping():
                return False
            self._step(step, batches)
            position.step = step + 1
            done = self.now()
            sums.waiting_s += arrived - ready
            sums.training_s += done - ready
            if every and position.step % every == 0 and position.step < steps:
                self._save(LAST)
            ready = self.now()
        if position.step < steps:  # the photographs ended, where the others' may not have
            self._stopping()
        return position.step == steps

    def _stopping(self) -> bool:
        """Whether any process was asked to stop: before each step, so that all do the same steps."""
        return self.world.any(here=self.stop.wanted, device=self.device)

    def _step(self, step: int, batches: Sequence[Photographs]) -> None:
        """One optimiser step over one batch of the whole world. RunError."""
        known = self.training.known_in_step(self.position.epoch, step)
        told = torch.zeros((), dtype=torch.float64, device=self.device)
        self.learner.begin()
        for turn, batch in enumerate(batches):
            told += self._pass(step, turn, batch, known=known, last=turn == len(batches) - 1)
        loss = float(self.world.sum(told))
        if not math.isfinite(loss):
            raise RunError(self._lost(step, "the loss is not finite"))
        norm, moved = self.learner.move(self._rate(step))
        self._note(step, loss=loss, known=known, norm=norm, moved=moved)

    def _pass(self, step: int, turn: int, batch: Photographs, *, known: int, last: bool) -> Tensor:
        """The gradient of one micro-batch. Its summed loss, float64."""
        number = turn * self.world.processes + self.world.rank
        torch.manual_seed(pass_seed(self.recipe.seed, self.position.epoch, step, number))
        with self.learner.one_pass(last=last):
            logits = self.learner.predict(batch.images)
            loss = self.loss(logits, batch.targets, batch.known).sum()
            # Processes average their gradients, where the batch's is their sum.
            self.learner.learn(loss * (self.world.processes / max(1, known)))
        return loss.detach().double()

    def _note(self, step: int, *, loss: float, known: int, norm: float, moved: bool) -> None:
        position, sums = self.position, self.position.sums
        position.skipped_in_a_row = 0 if moved else position.skipped_in_a_row + 1
        if position.skipped_in_a_row > (_SKIPPED_AT_MOST if self.learner.may_skip else 0):
            raise RunError(self._lost(step, "the gradient is not finite"))
        sums.loss += loss
        sums.known += known
        sums.gradient_norm += norm if moved else 0.0
        sums.skipped += not moved
        mean = loss / max(1, known)
        if self.journal is not None:
            number = self._steps_before() + step + 1
            self.journal.step(number, loss=mean, learning_rate=self._rate(step), gradient_norm=norm)
        self.display.step(step + 1, mean, self.recipe.optimisation.batch_size)

    def _close(self, judgement: Judgement, validation_s: float) -> None:
        """Record the epoch. The best's checkpoint is written first: a run that is killed then goes on from it."""
        position, sums, steps = self.position, self.position.sums, self.training.steps_per_epoch
        record = EpochRecord(
            epoch=position.epoch,
            step=self._steps_before() + steps,
            learning_rate=self._rate(steps - 1),
            training_loss=sums.loss / max(1, sums.known),
            validation_loss=judgement.loss,
            mean_average_precision=judgement.mean_average_precision,
            average_precision=judgement.average_precision,
            gradient_norm=sums.gradient_norm / max(1, steps - sums.skipped),
            skipped=sums.skipped,
            images_per_second=steps * self.recipe.optimisation.batch_size / max(sums.training_s, 1e-9),
            waiting=sums.waiting_s / max(sums.training_s, 1e-9),
            seconds=sums.training_s + validation_s,
        )
        best = position.close(record)
        if self.journal is not None:
            self.journal.epoch(position.history)
        if best:
            self._save(BEST)
        self._save(LAST)
        self.display.end(record, best=best)

    def _save(self, name: str) -> None:
        if self.journal is not None:
            self.journal.flush()
            where = {"identity": self.identity.to_dict(), "origin": self.origin, "position": self.position.to_dict()}
            write_checkpoint(self.folder / name, where | self.learner.state())

    def _rate(self, step: int) -> float:
        """The learning rate of a step of this epoch."""
        chosen, steps = self.recipe.optimisation, self.training.steps_per_epoch
        return learning_rate(
            self._steps_before() + step,
            steps=chosen.epochs * steps,
            warmup_steps=round(chosen.warmup_epochs * steps),
            peak=chosen.learning_rate,
            final=chosen.final_learning_rate,
        )

    def _steps_before(self) -> int:
        return self.position.finished * self.training.steps_per_epoch

    def _lost(self, step: int, what: str) -> str:
        precision = self.learner.precision.name
        half = "" if precision == "float32" else f", a wider optimisation.precision than {precision}"
        return (
            f"epoch {self.position.epoch}, step {step + 1}: {what}; nothing was written since the last checkpoint. Try "
            f"a lower optimisation.learning_rate than {self.recipe.optimisation.learning_rate:g}{half}, a longer "
            "optimisation.warmup_epochs or a lower optimisation.clip_norm, in another folder"
        )


def check_passes(recipe: Recipe, world: World) -> None:
    """RunError where a batch cannot be cut into the recipe's passes over the processes."""
    size, passes = recipe.optimisation.batch_size, _passes(recipe, world)
    if size % passes or size // passes < 2:
        raise RunError(
            f"optimisation.batch_size {size} over {world.processes} processes and optimisation.accumulation "
            f"{recipe.optimisation.accumulation} makes {passes} passes of {size / passes:g} photographs: they must be "
            "of one size, and of two photographs at least, for batch norm's statistics"
        )


def _passes(recipe: Recipe, world: World) -> int:
    return recipe.optimisation.accumulation * world.processes


def _kept(folder: Path, identity: Identity, *, resume: bool) -> dict[str, Any] | None:
    """The checkpoint to go on from; None where the run begins. RunError where it is another run's."""
    kept = latest_checkpoint(folder)
    if kept is None:
        return None
    if not resume:
        raise RunError(f"{folder}: holds a run already; resume it, or train in another folder")
    identity.check(kept["identity"], folder)
    return kept


def _network(recipe: Recipe, labels: Sequence[str], kept: Mapping[str, Any] | None) -> tuple[OcuNet, str]:
    """A network, and where its weights come from; one that goes on gets them from its checkpoint."""
    if kept is None:
        return starting_network(recipe.network, labels, recipe.seed)
    return build_network(recipe.network.architecture, len(labels), dropout=recipe.network.dropout), kept["origin"]


def _loss(recipe: Recipe, training: TrainingFeed, device: torch.device) -> MaskedLoss:
    weights = positive_weights(training.targets, training.known, kind=recipe.loss.weights, beta=recipe.loss.beta)
    return build_loss(recipe.loss, torch.from_numpy(weights).to(device, torch.float32))
