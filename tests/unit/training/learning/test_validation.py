"""What is said of a network on the validation split."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from ocunet_pacs.model.network import build_network
from tests.unit.training.learning.conftest import CPU, LABELS, Validation, recipe, rows
from training.data.manifest import Row, targets
from training.errors import RunError
from training.learning.distributed import ALONE
from training.learning.losses import build_loss
from training.learning.precision import Precision
from training.learning.stopping import Stop
from training.learning.validation import Judgement, check_validation, validate


def judge(network: Any, chosen: list[Row], stop: Stop | None = None) -> Judgement | None:
    return validate(
        network,
        Validation(chosen),
        LABELS,
        loss=build_loss(recipe().loss, torch.ones(3)),
        precision=Precision("auto", CPU),
        stop=stop or Stop(),
        world=ALONE,
        device=CPU,
    )


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return build_network("mobilenetv3_small_050", 3).eval()


def test_loss_and_average_precision_are_of_what_is_known(network: Any) -> None:
    chosen = rows(21)
    judged = judge(network, chosen)
    assert judged is not None
    values, known = targets(chosen, LABELS)
    with torch.no_grad():
        logits = torch.cat([network(batch.images) for batch in Validation(chosen)])
    for n, label in enumerate(LABELS):
        expected = average_precision_score(values[known[:, n], n], logits[known[:, n], n])
        assert judged.average_precision[label] == pytest.approx(expected, abs=1e-12)
    losses = build_loss(recipe().loss, torch.ones(3))(logits, torch.from_numpy(values), torch.from_numpy(known))
    assert judged.loss == pytest.approx(float(losses[torch.from_numpy(known)].double().mean()), rel=1e-6)
    assert judged.mean_average_precision == pytest.approx(np.mean(list(judged.average_precision.values())))


def test_a_label_of_which_nothing_can_be_said_is_undefined_and_not_counted() -> None:
    judged = Judgement(0.1, {"DR": 0.5, "MH": math.nan, "NORMAL": 1.0})
    assert judged.mean_average_precision == 0.75
    assert math.isnan(Judgement(0.1, {"DR": math.nan}).mean_average_precision)


def test_a_stop_ends_the_validation(network: Any) -> None:
    stop = Stop()
    stop.ask()
    assert judge(network, rows(16), stop) is None


def test_a_split_that_cannot_choose_an_epoch_is_refused() -> None:
    lopsided = [row for row in rows(60) if "DR" in row.positive]
    no_negatives = [Row(r.image, r.digest, r.group, r.positive & {"DR"}, frozenset(), r.source) for r in lopsided]
    with pytest.raises(RunError, match="no label with both a known positive and a known negative"):
        check_validation(Validation(no_negatives))
    check_validation(Validation(rows(16)))
