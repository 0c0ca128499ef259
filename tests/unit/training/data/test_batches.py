"""Batches: the same pictures for the same seed, epoch and step, whoever loads them and however the work is shared."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocunet_pacs.imaging.preprocess import PreprocessSpec, to_tensor_array
from training.data.batches import PlainBatches, TrainingBatches, normalise
from training.data.cache import PixelCache
from training.data.loading import worker_count
from training.data.manifest import targets
from training.errors import CacheMiss, RunError
from training.recipe import recipe_of

CPU = torch.device("cpu")
LABELS = ("DR", "NORMAL", "MYA", "GLAUCOMA")


def recipe(batch_size=4, accumulation=1, sampler="weighted", seed=5, **augmentation):
    return recipe_of(
        {
            "seed": seed,
            "preprocess": {"image_size": 64},
            "optimisation": {"batch_size": batch_size, "accumulation": accumulation, "sampler": sampler},
            "augmentation": augmentation,
        },
        "test",
    )


def batches(filled, eyes, made, *, rank=0, processes=1, workers=0):
    return TrainingBatches(filled, eyes.rows, LABELS, made, device=CPU, rank=rank, processes=processes, workers=workers)


def global_batches(filled, eyes, processes, accumulation, *, epoch=3, first_step=0, sampler="weighted"):
    """Per step: the images and the indices of all processes' micro-batches, in the order of their numbers."""
    made = recipe(4, accumulation, sampler)
    by_rank = [
        list(batches(filled, eyes, made, rank=rank, processes=processes).epoch(epoch, first_step))
        for rank in range(processes)
    ]
    steps = []
    for of_step in zip(*by_rank, strict=True):
        parts = [of_step[number % processes][number // processes] for number in range(processes * accumulation)]
        assert {len(part.images) for part in parts} == {4 // (processes * accumulation)}
        steps.append((torch.cat([part.images for part in parts]), torch.cat([part.indices for part in parts])))
    return steps


@pytest.mark.parametrize(("processes", "accumulation"), [(2, 1), (1, 2), (4, 1), (2, 2), (1, 4)])
def test_a_global_batch_is_the_same_however_it_is_shared(filled, eyes, processes, accumulation):
    whole = global_batches(filled, eyes, 1, 1)
    shared = global_batches(filled, eyes, processes, accumulation)
    assert len(whole) == len(shared) == 2
    for (images, indices), (others, their_indices) in zip(whole, shared, strict=True):
        assert torch.equal(indices, their_indices)
        assert torch.equal(images, others)


def test_an_epoch_goes_on_where_it_was_left(filled, eyes):
    whole = global_batches(filled, eyes, 1, 1)
    (rest,) = global_batches(filled, eyes, 1, 1, first_step=1)
    assert torch.equal(rest[0], whole[1][0])
    assert torch.equal(rest[1], whole[1][1])


def test_worker_processes_change_nothing_and_serve_epoch_after_epoch(filled, eyes):
    alone, helped = (batches(filled, eyes, recipe(), workers=workers) for workers in (0, 2))
    abandoned = helped.epoch(0)
    next(abandoned)
    for epoch in (1, 2):
        for one, other in zip(alone.epoch(epoch), helped.epoch(epoch), strict=True):
            assert torch.equal(one[0].images, other[0].images)
            assert torch.equal(one[0].indices, other[0].indices)


def test_it_does_not_matter_who_varies_the_pictures(filled, eyes):
    """As on a GPU: the pictures are varied a batch at a time where they arrive."""
    made = TrainingBatches(filled, eyes.rows, LABELS, recipe(4, 2), device=CPU, workers=0, vary_on_device=True)
    for one, other in zip(made.epoch(3), batches(filled, eyes, recipe(4, 2)).epoch(3), strict=True):
        assert all(torch.equal(a.images, b.images) for a, b in zip(one, other, strict=True))


def test_nobody_else_s_randomness_is_used_up(filled, eyes):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 -- what must not be used
    list(batches(filled, eyes, recipe()).epoch(0))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_processors_are_shared_among_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(16)))
    assert worker_count("auto") == 16
    for local, share in ((4, 4), (32, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local))
        assert worker_count("auto") == share
    assert worker_count(0) == 0


def test_epochs_and_seeds_differ(filled, eyes):
    made = batches(filled, eyes, recipe())
    first, again, second = (next(iter(made.epoch(epoch)))[0].images for epoch in (0, 0, 1))
    other = next(iter(batches(filled, eyes, recipe(seed=6)).epoch(0)))[0].images
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_targets_belong_to_the_pictures(filled, eyes):
    values, known = targets(eyes.rows, LABELS)
    made = batches(filled, eyes, recipe())
    for step, (batch,) in enumerate(made.epoch(0)):
        assert np.array_equal(batch.targets.numpy(), values[batch.indices.numpy()])
        assert np.array_equal(batch.known.numpy(), known[batch.indices.numpy()])
        assert made.known_in_step(0, step) == batch.known.sum()
    assert not known[:, LABELS.index("GLAUCOMA")].any()


def test_few_rows_still_make_a_step(filled, eyes):
    for sampler in ("weighted", "shuffled"):
        made = batches(filled, eyes, recipe(16, sampler=sampler))
        ((batch,),) = made.epoch(0)
        assert made.steps_per_epoch == 1
        assert len(batch.images) == 16
        assert made.known_in_step(0, 0) == batch.known.sum() == 48


def test_without_variation_training_sees_what_serving_sees(filled, eyes):
    still = {
        "rand_augment": 0, "rotation": 0.0, "zoom": (1.0, 1.0), "horizontal_flip": 0.0, "brightness": (1.0, 1.0),
        "contrast": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": 0.0, "erasing": 0.0,
    }  # fmt: skip
    ((batch,), *_) = batches(filled, eyes, recipe(**still)).epoch(0)
    for image, index in zip(batch.images, batch.indices, strict=True):
        served = to_tensor_array(filled.spec, filled.load(eyes.rows[index]))
        assert np.array_equal(image.numpy(), served)


@pytest.mark.parametrize("workers", [0, 2])
def test_plain_batches_are_all_rows_in_order_as_serving_sees_them(filled, eyes, workers):
    plain = PlainBatches(filled, eyes.rows, LABELS, filled.spec, batch_size=4, device=CPU, workers=workers)
    assert len(plain) == 3
    for _ in range(2):
        seen = list(plain)
        assert torch.cat([batch.indices for batch in seen]).tolist() == list(range(11))
        served = np.stack([to_tensor_array(filled.spec, filled.load(row)) for row in eyes.rows])
        assert np.array_equal(torch.cat([batch.images for batch in seen]).numpy(), served)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-2, 2, allow_nan=False), min_size=3, max_size=3),
    st.lists(st.floats(0.01, 3), min_size=3, max_size=3),
)
def test_normalising_is_serving_s_for_every_level(mean, std):
    spec = PreprocessSpec(mean=tuple(mean), std=tuple(std))
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    ours = normalise(spec, torch.from_numpy(levels).permute(2, 0, 1)[None])[0]
    assert ours.dtype is torch.float32
    assert np.array_equal(ours.numpy(), to_tensor_array(spec, levels))


def test_what_cannot_be_batched_is_said_before_the_run(filled, eyes, tmp_path):
    with pytest.raises(RunError, match="multiple of 3"):
        batches(filled, eyes, recipe(4), processes=3)
    with pytest.raises(RunError, match="no photographs"):
        TrainingBatches(filled, [], LABELS, recipe(), device=CPU)
    with pytest.raises(RunError, match="another preprocessing"):
        PlainBatches(filled, eyes.rows, LABELS, PreprocessSpec(), batch_size=1, device=CPU)
    with pytest.raises(CacheMiss, match="11 of 11"):
        batches(PixelCache(tmp_path, filled.spec), eyes, recipe())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_spoils_during_a_run_is_said_in_one_line(eyes, tmp_path, workers):
    cache = PixelCache(tmp_path, PreprocessSpec(image_size=64))
    cache.fill(eyes, eyes.rows[:1], workers=1)
    made = TrainingBatches(cache, eyes.rows[:1], LABELS, recipe(1), device=CPU, workers=workers)
    path = cache.path(eyes.rows[0])
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CacheMiss) as caught:
        list(made.epoch(0))
    assert "\n" not in str(caught.value)
