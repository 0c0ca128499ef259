"""A varied picture depends on the picture and its seed: not on its batch, its place there, or the threads at work."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from training.data.augment import Augment
from training.recipe import Augmentation

SIDE = 64
NOTHING = {
    "rand_augment": 0, "rotation": 0.0, "zoom": (1.0, 1.0), "horizontal_flip": 0.0, "brightness": (1.0, 1.0),
    "contrast": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": 0.0, "erasing": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def eyes() -> torch.Tensor:
    drawn = [draw_fundus(seed=seed, laterality=Laterality.LEFT, size=(SIDE, SIDE)) for seed in range(4)]
    return torch.stack([torch.from_numpy(one.copy()) for one in drawn]).permute(0, 3, 1, 2)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1)), min_size=1, max_size=6))
def test_a_picture_and_its_seed_decide_alone(eyes, wanted):
    augment = Augment(Augmentation(), SIDE)
    together = augment(torch.stack([eyes[index] for index, _ in wanted]), [seed for _, seed in wanted])
    assert together.dtype is torch.uint8
    assert together.shape == (len(wanted), 3, SIDE, SIDE)
    for seen, (index, seed) in zip(together, wanted, strict=True):
        assert torch.equal(augment(eyes[index][None], [seed])[0], seen)


def test_the_number_of_threads_changes_nothing(eyes):
    augment, threads = Augment(Augmentation(), SIDE), torch.get_num_threads()
    seen = []
    try:
        for number in (1, 4):
            torch.set_num_threads(number)
            seen.append(augment(eyes, range(4)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*seen)


def test_a_recipe_of_nothing_changes_nothing_and_pictures_are_never_written_over(eyes):
    before = eyes.clone()
    assert torch.equal(Augment(Augmentation(**NOTHING), SIDE)(eyes, range(4)), before)
    seen = Augment(Augmentation(**NOTHING | {"erasing": 1.0}), SIDE)(eyes, range(4))
    assert torch.equal(eyes, before)
    assert not torch.equal(seen, before)


def test_only_what_the_recipe_names_is_done(eyes):
    mirrored = Augment(Augmentation(**NOTHING | {"horizontal_flip": 1.0}), SIDE)(eyes, range(4))
    assert torch.equal(mirrored, eyes.flip(3))
    colour = (1, 2, 3)
    erased = Augment(Augmentation(**NOTHING | {"erasing": 1.0}), SIDE, erased=colour)(eyes, range(4))
    for seen, eye in zip(erased, eyes, strict=True):
        where = (seen == torch.tensor(colour)[:, None, None]).all(0)
        assert 0.015 * SIDE**2 < where.sum() < 0.25 * SIDE**2
        assert torch.equal(seen[:, ~where], eye[:, ~where])


def test_a_larger_picture_comes_out_in_the_network_s_size(eyes):
    assert Augment(Augmentation(), 40)(eyes, range(4)).shape == (4, 3, 40, 40)
    with pytest.raises(ValueError, match="4 pictures but 1 seeds"):
        Augment(Augmentation(), 40)(eyes, [1])
