"""How good the averaged network is on the validation split."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from training.errors import RunError
from training.learning.stopping import until_stopped
from training.metrics.ranking import average_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ocunet_pacs.model.network import OcuNet
    from training.learning.distributed import World
    from training.learning.feed import ValidationFeed
    from training.learning.losses import MaskedLoss
    from training.learning.precision import Precision
    from training.learning.stopping import Stop


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one network. Undefined is nan."""

    loss: float
    """Mean over the known entries."""
    average_precision: dict[str, float]
    """By label, over the photographs of which it is known."""

    @property
    def mean_average_precision(self) -> float:
        """Over the labels of which it is defined."""
        defined = [value for value in self.average_precision.values() if not math.isnan(value)]
        return sum(defined) / len(defined) if defined else math.nan


def check_validation(feed: ValidationFeed) -> None:
    """RunError where no label has both a known positive and a known negative: there would be nothing to stop by."""
    positive = (feed.targets > 0) & feed.known
    if not (positive.any(axis=0) & (feed.known & ~positive).any(axis=0)).any():
        raise RunError(
            f"the validation split ({len(feed.targets)} photographs) has no label with both a known positive and a "
            "known negative, so that no epoch is better than another: give it more groups (data.validation)"
        )


def validate(
    network: OcuNet,
    feed: ValidationFeed,
    labels: Sequence[str],
    *,
    loss: MaskedLoss,
    precision: Precision,
    stop: Stop,
    world: World,
    device: torch.device,
) -> Judgement | None:
    """The first process judges `network` (in eval mode) and tells the others. None where it was asked to stop."""
    told = torch.zeros(2 + len(labels), dtype=torch.float64, device=device)
    if world.first:
        judged = _judge(network, feed, labels, loss=loss, precision=precision, stop=stop)
        if judged is not None:
            told += torch.tensor([1.0, judged.loss, *judged.average_precision.values()], dtype=torch.float64).to(device)
    finished, mean_loss, *values = world.share(told).tolist()
    return Judgement(mean_loss, dict(zip(labels, values, strict=True))) if finished else None


@torch.inference_mode()
def _judge(
    network: OcuNet, feed: ValidationFeed, labels: Sequence[str], *, loss: MaskedLoss, precision: Precision, stop: Stop
) -> Judgement | None:
    cost, entries, parts = 0.0, 0, []
    for batch in until_stopped(feed, stop):
        if stop.wanted:
            return None
        with precision.passes():
            logits = network(batch.images.contiguous(memory_format=torch.channels_last))
        logits = logits.float()
        cost += float(loss(logits, batch.targets, batch.known).sum(dtype=torch.float64))
        entries += int(batch.known.sum())
        parts.append([part.cpu().numpy() for part in (logits, batch.targets, batch.known)])
    if stop.wanted:
        return None
    scores, truth, known = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Judgement(cost / max(1, entries), _average_precisions(labels, scores, truth, known))


def _average_precisions(
    labels: Sequence[str], scores: NDArray[np.float32], truth: NDArray[np.float32], known: NDArray[np.bool_]
) -> dict[str, float]:
    if not np.isfinite(scores[known]).all():
        return dict.fromkeys(labels, math.nan)
    return {label: average_precision(truth[known[:, n], n], scores[known[:, n], n]) for n, label in enumerate(labels)}
