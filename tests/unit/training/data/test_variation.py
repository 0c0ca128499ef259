"""What is drawn for a picture: within the recipe's bounds, to both sides, evenly, and from its seed alone."""

from __future__ import annotations

from collections import Counter
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.model.torch_compat import import_torchvision
from training.data.variation import MAGNITUDES, Operation, draw_variation, strength
from training.recipe import Augmentation

MANY = 4000
NAMES = {"Color": "saturation", "AutoContrast": "autocontrast"}
spans = st.tuples(st.floats(0.01, 2), st.floats(0.01, 2)).map(lambda pair: tuple(sorted(pair)))


def drawn(**chosen):
    recipe = Augmentation(**chosen)
    return [draw_variation(recipe, seed) for seed in range(MANY)]


def jittered(variations, operation):
    return [dict(one.jitter)[operation] for one in variations]


def test_numbers_are_spread_evenly_between_the_recipe_s_bounds():
    variations = drawn(shear=10.0)
    for values, low, high in (
        ([one.rotation for one in variations], -45, 45),
        ([one.shear for one in variations], -10, 10),
        ([one.zoom for one in variations], 0.8, 1.2),
        ([one.hue for one in variations], -0.05, 0.05),
        (jittered(variations, Operation.BRIGHTNESS), 0.7, 1.3),
        (jittered(variations, Operation.CONTRAST), 0.7, 1.3),
        (jittered(variations, Operation.SATURATION), 0.8, 1.2),
        ([one.place[0] for one in variations], -1, 1),
        ([one.place[1] for one in variations], -1, 1),
    ):
        assert low <= min(values)
        assert max(values) <= high
        # The largest gap between an even distribution and that many draws of it stays under 1.95 / sqrt(MANY), but for
        # one in a thousand (Kolmogorov and Smirnov); the draws are the same in each run.
        gap = np.abs((np.sort(values) - low) / (high - low) - (np.arange(MANY) + 0.5) / MANY).max()
        assert gap < 1.95 / MANY**0.5


def test_probabilities_are_kept_and_their_extremes_are_certain():
    variations = drawn()
    assert np.mean([one.flipped for one in variations]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([one.erased is not None for one in variations]) == pytest.approx(0.3, abs=0.03)
    for certain in (0.0, 1.0):
        variations = drawn(horizontal_flip=certain, erasing=certain)
        assert {one.flipped for one in variations} == {bool(certain)}
        assert {one.erased is not None for one in variations} == {bool(certain)}


def test_every_operation_is_as_likely_as_the_others_and_goes_to_both_sides():
    variations = drawn(rand_augment=2)
    assert {len(one.operations) for one in variations} == {2}
    counts = Counter(step for one in variations for step in one.operations)
    of_kind = Counter(operation for operation, _ in counts.elements())
    assert set(of_kind) == set(Operation)
    assert max(abs(count / (2 * MANY) - 1 / 14) for count in of_kind.values()) < 0.01
    sides = {kind: sorted(amount for operation, amount in counts if operation is kind) for kind in Operation}
    assert sides[Operation.ROTATE] == [-7.0, 7.0]
    assert sides[Operation.BRIGHTNESS] == pytest.approx([0.79, 1.21])
    assert sides[Operation.TRANSLATE_Y] == pytest.approx([-0.10574, 0.10574], rel=1e-4)
    assert sides[Operation.POSTERIZE] == [7.0]


def test_the_order_of_the_jitter_is_drawn():
    orders = Counter(tuple(operation for operation, _ in one.jitter) for one in drawn())
    assert len(orders) == 6
    assert min(orders.values()) > MANY / 6 * 0.8


def test_operations_are_as_strong_as_torchvision_s():
    import_torchvision()
    side = 331
    theirs = import_module("torchvision.transforms.v2").RandAugment._AUGMENTATION_SPACE
    assert len(theirs) == len(Operation)
    for name, (magnitudes, signed) in theirs.items():
        words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")
        operation = Operation(NAMES.get(name, words))
        values = magnitudes(MAGNITUDES + 1, side, side)
        for magnitude in range(MAGNITUDES + 1):
            expected = 0.0 if values is None else float(values[magnitude])
            for sign in (-1, 1) if signed else (1,):
                ours = strength(operation, magnitude, sign)
                if operation in (Operation.TRANSLATE_X, Operation.TRANSLATE_Y):
                    ours *= side
                if operation in (Operation.BRIGHTNESS, Operation.SATURATION, Operation.CONTRAST, Operation.SHARPNESS):
                    ours -= 1.0
                if operation is Operation.SOLARIZE:
                    ours /= 255.0  # theirs is a share of what a picture's type can hold
                assert ours == pytest.approx(sign * expected, abs=1e-4)


@given(st.integers(0, 2**64 - 1), spans)
def test_what_is_erased_has_the_drawn_area_and_lies_within_the_picture(seed, area):
    erased = draw_variation(Augmentation(erasing=1.0, erased_area=area), seed).erased
    assert erased is not None
    left, top, right, bottom = erased
    assert -1e-9 <= left < right <= 1 + 1e-9
    assert -1e-9 <= top < bottom <= 1 + 1e-9
    assert min(1.0, area[0]) - 1e-9 <= (right - left) * (bottom - top) <= min(1.0, area[1]) + 1e-9


@given(st.integers(0, 2**64 - 1))
def test_a_seed_is_a_variation_whatever_is_likely(seed):
    """Chances that the recipe turns off are drawn all the same: the others stay what they were."""
    usual, other = draw_variation(Augmentation(), seed), draw_variation(Augmentation(erasing=0.0), seed)
    assert usual == draw_variation(Augmentation(), seed)
    assert (other.operations, other.rotation, other.jitter) == (usual.operations, usual.rotation, usual.jitter)
