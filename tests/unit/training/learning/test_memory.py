"""What a person reads when the device is too small."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from training.errors import MemoryExhausted
from training.learning.memory import advice, memory_advice
from training.recipe import Recipe, recipe_of

CPU = torch.device("cpu")


def recipe(**optimisation: Any) -> Recipe:
    return recipe_of({"optimisation": optimisation}, "test")


def test_the_message_names_what_was_asked_for_and_what_to_change() -> None:
    chosen = recipe(batch_size=32, accumulation=2)
    with pytest.raises(MemoryExhausted) as caught, memory_advice(chosen, CPU, "float32"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    said = str(caught.value)
    assert "a pass of 16 photographs (batch_size 32, accumulation 2, processes 1) of 384 pixels (image_size)" in said
    assert "in float32 through efficientnet_b3" in said
    assert "accumulation: 4 (the same batch in more passes, of 8 photographs)" in said
    assert said.index("accumulation: 4") < said.index("batch_size: 16") < said.index("preprocess.image_size")


def test_passes_too_small_for_batch_norm_are_said_to_be() -> None:
    assert "of 4 photographs, few for batch norm" in advice(recipe(batch_size=8), CPU, "float32")


def test_a_pass_of_two_is_not_cut_further() -> None:
    assert "accumulation: " not in advice(recipe(batch_size=4, accumulation=2), CPU, "float32")


def test_processes_share_the_batch() -> None:
    said = advice(recipe(batch_size=48), CPU, "float32", processes=3)
    assert "a pass of 16 photographs" in said
    assert "accumulation: 2 (the same batch in more passes, of 8 photographs)" in said


def test_a_host_without_memory_is_advised_too() -> None:
    with pytest.raises(MemoryExhausted), memory_advice(recipe(), CPU, "float32"):
        torch.empty(2**61, dtype=torch.uint8)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_advice(recipe(), CPU, "float32"):
        raise RuntimeError("shapes do not match")
