"""One optimiser step a batch, the average after it, and neither where a gradient is not finite."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from ocunet_pacs.model.network import BACKBONES, OcuNet, build_network
from tests.unit.training.learning.conftest import recipe
from training.learning.distributed import ALONE
from training.learning.learner import Learner, freeze_unreached

CPU = torch.device("cpu")


def learner(**optimisation: Any) -> Learner:
    torch.manual_seed(3)
    chosen = recipe(**optimisation)
    return Learner(build_network(chosen.network.architecture, 3), chosen, CPU, ALONE)


def images(seed: int, count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def step(one: Learner, passes: list[torch.Tensor], factor: float = 1e-3) -> tuple[float, bool]:
    one.begin()
    for number, given in enumerate(passes):
        torch.manual_seed(number)
        one.learn(one.predict(given).square().sum() * factor)
    return one.move(1e-3)


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def optimiser_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    plain = torch.optim.AdamW.step

    def counted(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    return calls


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_step_of_three_passes_is_one_optimiser_step(optimiser_steps: list[int], precision: str) -> None:
    one = learner(precision=precision, batch_size=12, accumulation=3)
    for number in range(2):
        _, moved = step(one, [images(3 * number + n) for n in range(3)])
        assert moved
        assert len(optimiser_steps) == number + 1


def test_a_step_is_what_plain_torch_makes_of_it() -> None:
    """Three steps of AdamW with clipping, written the plain way, give the same bits."""
    ours = learner(clip_norm=0.01, weight_decay=0.1, ema=0.5)
    plain = learner().network.train()
    optimiser = torch.optim.AdamW([w for w in plain.parameters() if w.requires_grad], 1e-3, weight_decay=0.1)
    for number in range(3):
        norm, _ = step(ours, [images(number)])
        optimiser.zero_grad()
        torch.manual_seed(0)
        (plain(images(number)).square().sum() * 1e-3).backward()
        expected = nn.utils.clip_grad_norm_(plain.parameters(), 0.01)
        assert norm == float(expected) > 0.01
        optimiser.step()
    assert equal(weights(ours.network), weights(plain))


def test_passes_add_up_to_the_gradient_of_their_sum() -> None:
    halves = [images(1), images(2)]
    cut = learner(clip_norm=0.0, batch_size=8, accumulation=2)
    cut.begin()
    cut.network.eval()  # batch norm and dropout would see the cut
    whole = learner(clip_norm=0.0)
    whole.network.eval()
    for half in halves:
        cut.learn(cut.predict(half).square().sum())
    whole.learn(whole.predict(torch.cat(halves)).square().sum())
    for ours, theirs in zip(cut.network.parameters(), whole.network.parameters(), strict=True):
        if theirs.grad is not None:
            assert ours.grad is not None
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_float16_skips_a_step_whose_gradient_overflows(optimiser_steps: list[int]) -> None:
    one = learner(precision="float16", ema=0.5)
    before, averaged = weights(one.network), weights(one.average.network)
    scale = one.precision.scaler.get_scale()
    norm, moved = step(one, [images(1)], factor=math.inf)
    assert not moved
    assert not math.isfinite(norm)
    assert optimiser_steps == []
    moving = ("running_", "num_batches")
    assert all(torch.equal(v, before[n]) for n, v in weights(one.network).items() if not any(m in n for m in moving))
    assert equal(weights(one.average.network), averaged)
    assert one.precision.scaler.get_scale() == scale / 2
    assert step(one, [images(1)])[1]
    assert len(optimiser_steps) == 1
    assert not equal(weights(one.average.network), averaged)


def test_float32_leaves_the_weights_alone_where_the_gradient_is_not_finite(optimiser_steps: list[int]) -> None:
    one = learner(precision="float32")
    assert not one.may_skip
    assert step(one, [images(1)], factor=math.inf)[1] is False
    assert optimiser_steps == []


def test_a_state_goes_on_with_the_same_bits() -> None:
    through, stopped = learner(ema=0.9), learner(ema=0.9)
    for one in (through, stopped):
        step(one, [images(1)])
    other = learner(ema=0.9)
    step(other, [images(5)])  # whatever it was before
    other.load(stopped.state())
    for one in (through, other):
        step(one, [images(2)])
    assert equal(weights(through.network), weights(other.network))
    assert equal(weights(through.average.network), weights(other.average.network))
    assert equal(through.state()["averaged"], weights(through.average.network))


def test_layers_that_no_pass_reaches_take_no_gradient() -> None:
    """timm's MobileNetV3 has a layer behind the pooling that OcuNet's head replaces."""
    one = learner()
    unreached = {name for name, weight in one.network.named_parameters() if not weight.requires_grad}
    assert unreached == {"backbone.conv_head.weight", "backbone.conv_head.bias"}
    step(one, [images(1)])
    assert all((weight.grad is not None) == weight.requires_grad for weight in one.network.parameters())


def test_of_ocunets_own_backbone_everything_learns() -> None:
    assert BACKBONES[0] == "efficientnet_b3"
    network: OcuNet = build_network("efficientnet_b0", 2)  # the same family, and smaller
    freeze_unreached(network, 64, CPU)
    assert all(weight.requires_grad for weight in network.parameters())


def test_float16_clips_the_gradient_itself_not_its_scaled_image() -> None:
    half, _ = step(learner(precision="float16"), [images(1)])
    full, _ = step(learner(precision="float32"), [images(1)])
    assert half == pytest.approx(full, rel=0.05)
