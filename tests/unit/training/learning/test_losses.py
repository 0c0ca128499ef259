"""Losses equal the formulas, computed apart in float64; what is unknown costs nothing and moves nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ocunet_pacs.model.torch_compat import import_torchvision
from training.learning.losses import asymmetric, bce, build_loss, focal
from training.recipe import Loss

SHAPE = (5, 3)
LOGITS = arrays.arrays(np.float64, SHAPE, elements=st.floats(-30, 30))
TARGETS = arrays.arrays(np.float64, SHAPE, elements=st.sampled_from([0.0, 1.0]))
WEIGHTS = arrays.arrays(np.float64, SHAPE[1:], elements=st.floats(0.1, 10))
KNOWN = arrays.arrays(np.bool_, SHAPE)
GAMMAS = st.sampled_from([0.0, 0.3, 1.0, 2.0, 6.0])
KINDS = [
    Loss(),
    Loss(clip=0.0, gamma_positive=0.3, gamma_negative=0.01),
    Loss(kind="focal"),
    Loss(kind="focal", gamma=0.01),
    Loss(kind="bce"),
]
few = settings(max_examples=60, deadline=None)


def by_formula(x, y, w, gp, gn, clip):
    """The asymmetric loss as it is written down."""
    p = 1 / (1 + np.exp(-x))
    q = np.minimum(1 - p + clip, 1)
    power = (1 - (p * y + q * (1 - y))) ** (gp * y + gn * (1 - y))
    return -(y * w * np.log(np.maximum(p, 1e-5)) + (1 - y) * np.log(np.maximum(q, 1e-5))) * power


@few
@given(LOGITS, TARGETS, WEIGHTS, GAMMAS, GAMMAS, st.sampled_from([0.0, 0.05, 0.1, 1.0]))
def test_asymmetric_is_its_formula(x, y, w, gp, gn, clip):
    expected = by_formula(x, y, w, gp, gn, clip)
    chosen = {"gamma_positive": gp, "gamma_negative": gn, "clip": clip}
    for precision, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-5)):
        logits, targets, weights = (torch.tensor(values, dtype=precision) for values in (x, y, w))
        said = asymmetric(logits, targets, weights=weights, **chosen)
        np.testing.assert_allclose(said.numpy(), expected, rtol=tolerance, atol=1e-6)


def test_ocunets_own_numbers():
    """Worked by hand: logit 0 is p = .5, q = .6."""
    said = build_loss(Loss(), torch.tensor([3.0]))(
        torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]), torch.ones(2, 1, dtype=torch.bool)
    )
    np.testing.assert_allclose(said[:, 0], [3 * np.log(2) * 0.5, -np.log(0.6) * 0.4**6], rtol=1e-6)


@few
@given(LOGITS, TARGETS, GAMMAS)
def test_focal_is_torchvisions_without_weights(x, y, gamma):
    import_torchvision()
    from torchvision.ops import sigmoid_focal_loss

    logits, targets = torch.from_numpy(x), torch.from_numpy(y)
    said = focal(logits, targets, weights=torch.ones(3, dtype=torch.float64), gamma=gamma)
    expected = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=gamma)
    np.testing.assert_allclose(said.numpy(), expected.numpy(), rtol=1e-6, atol=1e-6)


@few
@given(LOGITS, TARGETS, WEIGHTS, GAMMAS)
def test_bce_and_focal_are_their_formulas(x, y, w, gamma):
    p = 1 / (1 + np.exp(-x))
    expected = y * w * np.log1p(np.exp(-x)) + (1 - y) * np.log1p(np.exp(x))
    logits, targets, weights = map(torch.from_numpy, (x, y, w))
    np.testing.assert_allclose(bce(logits, targets, weights=weights).numpy(), expected, rtol=1e-6, atol=1e-6)
    focused = expected * (1 - np.where(y == 1, p, 1 - p)) ** gamma
    said = focal(logits, targets, weights=weights, gamma=gamma)
    np.testing.assert_allclose(said.numpy(), focused, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("chosen", KINDS, ids=lambda chosen: f"{chosen.kind}-{chosen.gamma}-{chosen.clip}")
@few
@given(x=LOGITS, y=TARGETS, known=KNOWN, wild=st.sampled_from([np.nan, np.inf, -np.inf, 1e38]))
def test_what_is_unknown_costs_nothing_and_moves_nothing(chosen, x, y, known, wild):
    loss = build_loss(chosen, torch.tensor([1.0, 2.0, 0.5]))
    dirty = [np.where(known, values, wild) for values in (x, y)]
    logits, targets = (torch.tensor(values, dtype=torch.float32) for values in dirty)
    logits.requires_grad_()
    said = loss(logits, targets, torch.from_numpy(known))
    said.sum().backward()
    assert not said.detach().numpy()[~known].any()
    assert not logits.grad.numpy()[~known].any()
    clean = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    whole = loss(clean, torch.tensor(y, dtype=torch.float32), torch.ones(SHAPE, dtype=torch.bool))
    whole.sum().backward()
    assert torch.equal(said[known], whole[known]), "what is known does not depend on what is not"
    assert torch.equal(logits.grad[known], clean.grad[known])


@pytest.mark.parametrize("chosen", KINDS, ids=lambda chosen: f"{chosen.kind}-{chosen.gamma}-{chosen.clip}")
@few
@given(
    x=arrays.arrays(np.float32, SHAPE, elements=st.floats(-1e4, 1e4, width=32) | st.sampled_from([0.0, 1e4, -1e4])),
    y=TARGETS,
)
def test_far_logits_stay_finite(chosen, x, y):
    logits = torch.tensor(x, requires_grad=True)
    said = build_loss(chosen, torch.ones(3))(logits, torch.tensor(y), torch.ones(SHAPE, dtype=torch.bool))
    said.sum().backward()
    assert said.dtype == torch.float32
    assert torch.isfinite(said).all()
    assert (said >= 0).all()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("gamma", [0.01, 0.5])
def test_the_slope_is_finite_where_the_margin_ends(gamma):
    """At p = clip the base of the power is 0, and the slope of a power below 1 infinite."""
    logits = torch.linspace(-2.3, -2.1, 20001).requires_grad_()
    said = asymmetric(
        logits,
        torch.zeros_like(logits),
        weights=torch.ones(1),
        gamma_positive=1.0,
        gamma_negative=gamma,
        clip=0.1,
    )
    said.sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("chosen", KINDS, ids=lambda chosen: f"{chosen.kind}-{chosen.gamma}-{chosen.clip}")
def test_the_gradient_is_the_slope_power_included(chosen):
    """By finite differences, away from the two kinks (p = clip, p = 1e-5)."""
    random = torch.Generator().manual_seed(3)
    logits = (torch.rand(8, 3, generator=random, dtype=torch.float64) - 0.5) * 8
    targets = (torch.rand(8, 3, generator=random) < 0.5).double()
    known = torch.rand(8, 3, generator=random) < 0.8
    loss = build_loss(chosen, torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: loss(x, targets, known), logits.requires_grad_(), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("chosen", KINDS, ids=lambda chosen: f"{chosen.kind}-{chosen.gamma}-{chosen.clip}")
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_judged_in_float32(chosen, half):
    logits = torch.tensor([[-20.0, 0.5, 12.0], [3.0, -0.25, -2.5]], dtype=half)
    targets, known = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.ones(2, 3, dtype=torch.bool)
    loss = build_loss(chosen, torch.tensor([1.0, 2.0, 0.5]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = loss(logits, targets, known)
    assert said.dtype == torch.float32
    assert torch.equal(said, loss(logits.float(), targets, known))
