"""A pass's randomness is of its place; switches are put back."""

from __future__ import annotations

from itertools import product

import torch

from training.learning.randomness import pass_seed, repeatable


def test_every_pass_has_a_seed_of_its_own_that_does_not_change() -> None:
    places = list(product((0, 42), range(1, 5), range(5), range(4)))
    seeds = [pass_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert seeds == [pass_seed(*place) for place in places]
    assert pass_seed(42, 1, 2, 3) != pass_seed(42, 2, 1, 3)


def test_every_seed_can_be_given_to_torch() -> None:
    with torch.random.fork_rng([]):
        for place in range(200):
            torch.manual_seed(pass_seed(0, place, 0, 0))


def test_the_callers_generator_and_switches_are_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    assert not torch.are_deterministic_algorithms_enabled()
    with repeatable(torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled()
        torch.manual_seed(1)
        torch.rand(5)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.rand(3), expected)
