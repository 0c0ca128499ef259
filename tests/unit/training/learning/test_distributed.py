"""Which process this is, and which device it takes."""

from __future__ import annotations

import pytest
import torch

from training.errors import RunError
from training.learning.distributed import ALONE, joined


def test_outside_torchrun_a_process_is_alone_and_first() -> None:
    with joined("cpu", {}) as (world, device):
        values = torch.tensor([1.0, 2.0])
        assert world == ALONE
        assert world.first
        assert device == torch.device("cpu")
        assert world.sum(values) is values
        world.wait()  # for nobody


def test_a_variable_that_torchrun_left_behind_makes_nobody_wait() -> None:
    with joined("cpu", {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}) as (world, _):
        assert world.processes == 1


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:1", "mps", ""])
def test_an_unknown_device_is_named(device: str) -> None:
    with pytest.raises(RunError, match="expected auto, cpu, cuda or cuda:N"), joined(device, {}):
        pass


def test_a_gpu_that_is_not_there_is_refused() -> None:
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(RunError, match="torch sees"), joined(missing, {}):
        pass


def test_under_torchrun_no_process_chooses_its_gpu() -> None:
    with pytest.raises(RunError, match="each process takes a GPU"), joined("cuda:0", {"WORLD_SIZE": "2"}):
        pass
