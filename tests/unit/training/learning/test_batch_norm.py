"""Running statistics move once a step, to the mean over its passes."""

from __future__ import annotations

import torch
from torch import nn

from training.learning.batch_norm import RunningStatistics
from training.learning.distributed import ALONE, World


def network() -> nn.Sequential:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    norm.running_mean, norm.running_var = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 2.0, 0.5])
    return nn.Sequential(nn.Conv2d(3, 3, 1), norm, nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8))


def step(tried: nn.Sequential, passes: list[torch.Tensor]) -> None:
    statistics = RunningStatistics(tried, ALONE, len(passes))
    statistics.begin()
    for images in passes:
        tried(images).sum().backward()
        statistics.after_pass()
    statistics.finish(len(passes))


def test_the_statistics_are_the_mean_of_what_each_pass_alone_would_have_made() -> None:
    passes = list(torch.randn(3, 4, 3, 2, 2, generator=torch.Generator().manual_seed(1)))
    together = network()
    step(together, passes)
    alone = []
    for images in passes:
        single = network()
        step(single, [images])
        alone.append(single)
    for index in (1, 4):
        for name in ("running_mean", "running_var"):
            expected = torch.stack([getattr(single[index], name) for single in alone]).mean(0)
            torch.testing.assert_close(getattr(together[index], name), expected, rtol=1e-6, atol=1e-7)
        assert int(together[index].num_batches_tracked) == 1


def test_a_step_of_one_pass_is_batch_norm_as_torch_has_it() -> None:
    images = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    ours, theirs = network(), network()
    step(ours, [images])
    theirs(images)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_a_network_without_batch_norm_needs_none() -> None:
    class Lonely(World):
        def sum(self, values: torch.Tensor) -> torch.Tensor:
            raise AssertionError("nothing to sum")

    statistics = RunningStatistics(nn.Linear(2, 2), Lonely(processes=2), 1)
    statistics.begin()
    statistics.after_pass()
    statistics.finish(1)
