"""The processes that load: none outlives the one that trains, and one that dies is said in a sentence."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ocunet_pacs.imaging.preprocess import PreprocessSpec
from tests.unit.training.data.pictures import drawn_manifest
from training.data.batches import TrainingBatches
from training.data.cache import PixelCache
from training.data.manifest import write_manifest
from training.errors import TrainingError
from training.recipe import recipe_of

TRAINER = """
import multiprocessing, sys, time
from pathlib import Path
from tests.integration.training.data.test_loading_processes import batches
from training.data.manifest import read_manifest

if __name__ == "__main__":
    epoch = batches(read_manifest(Path(sys.argv[1])), Path(sys.argv[2])).epoch(0)
    next(epoch), next(epoch)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


def batches(manifest, folder, count=64):
    cache = PixelCache(folder, PreprocessSpec(image_size=64))
    rows = [manifest.rows[number % len(manifest.rows)] for number in range(count)]
    recipe = recipe_of({"preprocess": {"image_size": 64}, "optimisation": {"batch_size": 1}}, "test")
    return TrainingBatches(cache, rows, ("DR",), recipe, device=torch.device("cpu"), workers=2)


@pytest.fixture(scope="module")
def eyes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eyes")
    manifest = drawn_manifest(folder, 2)
    write_manifest(manifest, folder / "eyes.csv")
    assert PixelCache(folder / "cache", PreprocessSpec(image_size=64)).fill(manifest, manifest.rows, workers=1) == []
    return manifest


def is_running(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_process_outlives_a_killed_training(eyes, tmp_path):
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    command = [sys.executable, str(script), str(eyes.root / "eyes.csv"), str(eyes.root / "cache")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as trainer:
        loading = [int(word) for word in trainer.stdout.readline().split()]
        assert len(loading) == 2
        assert all(map(is_running, loading))
        trainer.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 20
        while any(map(is_running, loading)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(is_running, loading))


def test_a_ctrl_c_leaves_the_loading_to_the_one_that_trains_and_a_death_is_said(eyes):
    before = set(multiprocessing.active_children())
    epoch = batches(eyes, eyes.root / "cache").epoch(0)
    for _ in range(2):  # one batch from each
        next(epoch)
    first, second = set(multiprocessing.active_children()) - before
    os.kill(first.pid, signal.SIGINT)
    next(epoch)
    assert first.is_alive()
    os.kill(second.pid, signal.SIGKILL)
    with pytest.raises(TrainingError, match=r"a process that loads photographs died.*/dev/shm"):
        list(epoch)
