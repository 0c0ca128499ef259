"""What changes colours, operation by operation, against torchvision's (which cuts decimals off where ours rounds)."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.model.torch_compat import import_torchvision
from training.data.colours import coloured, hue_turned
from training.data.variation import Operation


@pytest.fixture(scope="module")
def theirs():
    import_torchvision()
    return import_module("torchvision.transforms.v2.functional")


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """An eye, noise, and what histograms trip over: one level, two levels, greys."""
    eye = torch.from_numpy(draw_fundus(seed=3, laterality=Laterality.LEFT, size=(64, 64)).copy()).permute(2, 0, 1)
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8))
    level = torch.full((3, 64, 64), 90, dtype=torch.uint8)
    two = level.clone()
    two[:, :40] = 200
    grey = noise[:1].expand(3, -1, -1)
    return torch.stack([eye, noise, level, two, grey])


@pytest.mark.parametrize(
    ("operation", "amount", "name"),
    [
        (Operation.BRIGHTNESS, 0.7, "adjust_brightness"),
        (Operation.BRIGHTNESS, 1.3, "adjust_brightness"),
        (Operation.CONTRAST, 0.7, "adjust_contrast"),
        (Operation.CONTRAST, 1.3, "adjust_contrast"),
        (Operation.SATURATION, 0.8, "adjust_saturation"),
        (Operation.SATURATION, 1.2, "adjust_saturation"),
        (Operation.SHARPNESS, 0.4, "adjust_sharpness"),
        (Operation.SHARPNESS, 1.6, "adjust_sharpness"),
        (Operation.POSTERIZE, 8.0, "posterize"),
        (Operation.POSTERIZE, 4.0, "posterize"),
        (Operation.SOLARIZE, 195.5, "solarize"),
        (Operation.AUTOCONTRAST, 0.0, "autocontrast"),
        (Operation.EQUALIZE, 0.0, "equalize"),
    ],
)
def test_an_operation_is_torchvision_s(theirs, pictures, operation, amount, name):
    ours = coloured(pictures, [[(operation, amount)]] * len(pictures))
    arguments = {"posterize": [int(amount)], "autocontrast": [], "equalize": []}.get(name, [amount])
    for one, picture in zip(ours, pictures, strict=True):
        assert (one.int() - getattr(theirs, name)(picture, *arguments).int()).abs().max() <= 1


@pytest.mark.parametrize("turn", [-0.5, -0.05, 0.02, 0.05, 0.4])
def test_hue_is_torchvision_s(theirs, pictures, turn):
    ours = hue_turned(pictures, [turn] * len(pictures))
    assert (ours.int() - theirs.adjust_hue(pictures, turn).int()).abs().max() <= 1


def test_steps_are_done_in_their_order(theirs, pictures):
    steps = [
        (Operation.BRIGHTNESS, 0.9),
        (Operation.EQUALIZE, 0.0),
        (Operation.SHEAR_X, 0.3),
        (Operation.CONTRAST, 0.8),
    ]
    expected = theirs.adjust_contrast(theirs.equalize(coloured(pictures[:1], [steps[:1]])), 0.8)
    assert (coloured(pictures[:1], [steps])[0].int() - expected.int()).abs().max() <= 1


def test_a_chain_is_clipped_at_its_end_only(pictures):
    """Torchvision would have lost what was brighter than 255 on the way."""
    there_and_back = coloured(pictures[1:2], [[(Operation.BRIGHTNESS, 2.0), (Operation.BRIGHTNESS, 0.5)]])
    assert torch.equal(there_and_back, pictures[1:2])


steps = st.lists(
    st.sampled_from(
        [
            (Operation.BRIGHTNESS, 1.2),
            (Operation.CONTRAST, 0.7),
            (Operation.SATURATION, 1.2),
            (Operation.SHARPNESS, 0.8),
            (Operation.POSTERIZE, 5.0),
            (Operation.SOLARIZE, 140.0),
            (Operation.AUTOCONTRAST, 0.0),
            (Operation.EQUALIZE, 0.0),
        ]
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(st.lists(steps, min_size=5, max_size=5), st.lists(st.floats(-0.5, 0.5), min_size=5, max_size=5))
def test_neighbours_in_a_batch_do_not_matter(pictures, chains, turns):
    before = pictures.clone()
    together = hue_turned(coloured(pictures, chains), turns)
    for number, (chain, turn) in enumerate(zip(chains, turns, strict=True)):
        alone = hue_turned(coloured(pictures[number : number + 1], [chain]), [turn])
        assert torch.equal(alone[0], together[number])
    assert torch.equal(pictures, before)
