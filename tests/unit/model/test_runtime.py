"""The prepared runtime, the allocator, and the rules for precision and memory on a GPU, which need none here."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import weakref
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import pytest
import structlog
import torch

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model import device
from ocunet_pacs.model.bundle import load_network, prepare_bundle, write_bundle
from ocunet_pacs.model.device import find_device
from ocunet_pacs.model.manifest import MANIFEST, WEIGHTS, read_manifest
from ocunet_pacs.model.onnx_export import export_network
from ocunet_pacs.model.onnx_network import ONNX, RUNTIME
from ocunet_pacs.model.parity import Answer, parity_picture
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.model.runtime import DeviceMemoryFull, cpu_count, in_halves
from ocunet_pacs.model.torch_runtime import HALVES, TorchRuntime, choose_precision
from tests.heap import WITH_MALLOC
from tests.unit.model.conftest import lively_network, manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ocunet_pacs.model.network import OcuNet

CPU = torch.device("cpu")


def test_a_prepared_bundle_runs_on_onnx_runtime_with_torchs_answers(bundle: Path, photograph: np.ndarray) -> None:
    fast = Predictor.load(bundle, "cpu")
    (bundle / RUNTIME).unlink()
    slow = Predictor.load(bundle, "cpu")
    assert (fast.runtime, slow.runtime) == ("onnxruntime float32", "torch float32")
    assert fast.bundle == slow.bundle, "the runtime is no part of a result's identity"
    ready = [prepare(fast.manifest.preprocess, photograph[::step].copy()) for step in (1, -1, 2)]
    for one, other in zip(fast.classify(ready), slow.classify(ready), strict=True):
        np.testing.assert_allclose(
            [s.probability for s in one.scores], [s.probability for s in other.scores], rtol=0, atol=1e-4
        )
        np.testing.assert_allclose(one.maps, other.maps, atol=1e-3)


@pytest.mark.skipif(any(path.exists() for path in device._DRIVERS), reason="a GPU is asked for through torch")
def test_on_a_cpu_a_prepared_bundle_is_used_without_torch(bundle: Path) -> None:
    program = (
        "import sys, numpy as np; from pathlib import Path; from ocunet_pacs.imaging.prepare import prepare;"
        "from ocunet_pacs.model.predictor import Predictor; p = Predictor.load(Path(sys.argv[1]));"
        "p.classify([prepare(p.manifest.preprocess, np.full((64, 64, 3), 99, np.uint8))]);"
        "print(p.runtime, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(bundle)], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["onnxruntime", "float32", "False"]


def test_where_a_driver_is_torch_is_asked_for_the_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device, "_DRIVERS", (tmp_path / "absent", tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device("auto") == "cuda:0"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"logits": [[9.05, -3.0, 0.5]]}, None),
        ({"logits": [[9.0, -3.0, 0.4]]}, "other logits"),
        ({"logits": [[9.0, -3.0, 0.51]]}, "other probabilities"),
        ({"logits": [[9.0, -3.0, np.nan]]}, "other logits"),
        ({"logits": [[9.0, -3.0]]}, "other logits"),
        ({"maps": 0.52}, "other maps"),
        ({"maps": np.nan}, "other maps"),
    ],
)
def test_a_runtime_that_differs_from_torch_is_found_out(change: dict[str, object], reason: str | None) -> None:
    def numbers(logits: object = ((9.0, -3.0, 0.5),), maps: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(logits, np.float32), np.full((1, 3, 2, 2), maps, np.float32)

    kept = Answer.model_validate_json(Answer.of(numbers()).model_dump_json())
    if reason is None:
        kept.compare(numbers(**change), 1.25, "some runtime")
        return
    with pytest.raises(BundleError, match=f"some runtime gives {reason}"):
        kept.compare(numbers(**change), 1.25, "some runtime")


def test_a_network_that_was_let_go_says_so(bundle: Path, photograph: np.ndarray) -> None:
    predictor = Predictor.load(bundle, "cpu")
    held = weakref.ref(predictor._runtime)
    predictor.close()
    assert held() is None
    with pytest.raises(RuntimeError, match="let go"):
        predictor.classify([prepare(predictor.manifest.preprocess, photograph)])
    assert predictor.runtime == "onnxruntime float32"


def _forget(bundle: Path) -> None:
    (bundle / ONNX).unlink()


def _damage(bundle: Path) -> None:
    with (bundle / ONNX).open("r+b") as file:
        file.seek(1000)
        file.write(b"XXXX")


def _nonsense(bundle: Path) -> None:
    content = b"this is no network"
    (bundle / ONNX).write_bytes(content)
    record = json.loads((bundle / RUNTIME).read_bytes())
    record["network_sha256"] = hashlib.sha256(content).hexdigest()
    (bundle / RUNTIME).write_text(json.dumps(record))


def _other_weights(bundle: Path) -> None:
    record = json.loads((bundle / RUNTIME).read_bytes())
    record["weights_sha256"] = "0" * 64
    (bundle / RUNTIME).write_text(json.dumps(record))


def _other_network(bundle: Path) -> None:
    files = export_network(
        lively_network(3, seed=8), PreprocessSpec(image_size=64), read_manifest(bundle).weights_sha256
    )
    ours, theirs = json.loads((bundle / RUNTIME).read_bytes()), json.loads(files[RUNTIME])
    (bundle / ONNX).write_bytes(files[ONNX])
    (bundle / RUNTIME).write_text(json.dumps(theirs | {"answer": ours["answer"]}))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_forget, "never prepared"),
        (_damage, "is damaged"),
        (lambda bundle: (bundle / RUNTIME).write_bytes(b"{}"), "is damaged"),
        (_nonsense, "refuses"),
        (_other_weights, "other weights"),
        (_other_network, "other logits"),
    ],
)
def test_a_runtime_that_cannot_be_trusted_is_not_used_and_the_log_names_the_remedy(
    bundle: Path, photograph: np.ndarray, harm: object, reason: str
) -> None:
    harm(bundle)
    with structlog.testing.capture_logs() as logs:
        loaded = Predictor.load(bundle, "cpu")
    assert loaded.runtime == "torch float32"
    (line,) = [line for line in logs if line["event"] == "runtime_slow"]
    assert reason in line["reason"]
    assert "model prepare" in line["remedy"]
    assert len(loaded.classify([prepare(loaded.manifest.preprocess, photograph)])) == 1
    prepare_bundle(bundle)
    assert Predictor.load(bundle, "cpu").runtime == "onnxruntime float32"


def test_preparing_leaves_the_bundle_the_same_bundle(tmp_path: Path, network: OcuNet) -> None:
    made = write_bundle(tmp_path / "b", network.state_dict(), manifest(), prepare=False)
    before = (tmp_path / "b" / MANIFEST).read_bytes()
    assert {path.name for path in (tmp_path / "b").iterdir()} == {MANIFEST, WEIGHTS}
    assert prepare_bundle(tmp_path / "b").digest == made.digest
    assert (tmp_path / "b" / MANIFEST).read_bytes() == before
    assert {path.name for path in (tmp_path / "b").iterdir()} == {MANIFEST, WEIGHTS, ONNX, RUNTIME}


def test_a_machine_that_cannot_export_still_writes_a_good_bundle(
    tmp_path: Path, network: OcuNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with structlog.testing.capture_logs() as logs:
        write_bundle(tmp_path / "b", network.state_dict(), manifest())
    assert [line["event"] for line in logs] == ["runtime_not_prepared"]
    assert Predictor.load(tmp_path / "b", "cpu").runtime == "torch float32"


@pytest.mark.parametrize(
    ("errors", "chosen"),
    [
        ({torch.bfloat16: 0.01, torch.float16: 0.0}, torch.bfloat16),
        ({torch.bfloat16: 0.03, torch.float16: 0.001}, torch.float16),
        ({torch.bfloat16: 0.03, torch.float16: np.inf}, torch.float32),
        ({torch.bfloat16: np.nan, torch.float16: 0.03}, torch.float32),
    ],
)
def test_a_half_precision_is_chosen_only_where_probabilities_stay(errors: dict, chosen: torch.dtype) -> None:
    exact = np.zeros((2, 3), np.float32)  # there the sigmoid's slope is 1/4: 0.02 is the tolerance

    def logits_in(dtype: torch.dtype) -> np.ndarray:
        logits = exact.copy()
        logits[1, 2] += errors.get(dtype, 0.0)
        return logits

    assert choose_precision(logits_in, 1.0) == chosen


def test_bfloat16_runs_the_same_network(demo: Path) -> None:
    """Random weights amplify rounding to half the signal; a wrong layer would leave nothing in common."""
    network = load_network(demo, read_manifest(demo))
    picture = parity_picture(PreprocessSpec(image_size=96))
    half = TorchRuntime(deepcopy(network), CPU, HALVES[0])
    assert half.name == "torch bfloat16"
    rough, exact = half.features(picture), TorchRuntime(network, CPU).features(picture)
    assert rough.dtype == torch.float32
    assert float(torch.cosine_similarity(rough.flatten(), exact.flatten(), dim=0)) > 0.7
    assert not torch.equal(rough, exact)


@pytest.mark.parametrize("room", [1, 2, 3, 7])
def test_a_batch_that_does_not_fit_is_halved_until_it_does(room: int) -> None:
    sizes = []

    def run(batch: Sequence[int]) -> list[int]:
        if len(batch) > room:
            raise DeviceMemoryFull
        sizes.append(len(batch))
        return [10 * item for item in batch]

    given_back = []
    assert in_halves(run, range(7), lambda: given_back.append(1)) == [0, 10, 20, 30, 40, 50, 60]
    assert max(sizes) <= room
    assert bool(given_back) == (room < 7)
    with pytest.raises(DeviceMemoryFull):
        in_halves(lambda _: run(range(99)), [1], lambda: None)


def test_a_predictor_out_of_memory_answers_all_the_same(bundle: Path, photograph: np.ndarray) -> None:
    class Small(TorchRuntime):
        def features(self, batch: np.ndarray) -> torch.Tensor:
            if len(batch) > 2:
                raise torch.OutOfMemoryError
            return super().features(batch)

    made = read_manifest(bundle)
    network = load_network(bundle, made)
    # on_gpu: a batch is under way while the next one fails.
    tight = Predictor(made, Small(network, CPU), batch_size=5, on_gpu=True)
    roomy = Predictor(made, TorchRuntime(network, CPU), batch_size=1)
    tight.warm_up()
    ready = [prepare(made.preprocess, np.roll(photograph, 20 * shift, axis=1)) for shift in range(9)]
    for one, other in zip(tight.classify(ready), roomy.classify(ready), strict=True):
        np.testing.assert_allclose([s.logit for s in one.scores], [s.logit for s in other.scores], atol=1e-3)


def test_a_batch_that_did_not_fit_is_let_go_before_it_is_tried_again(bundle: Path, photograph: np.ndarray) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    class Greedy(TorchRuntime):
        def features(self, batch: np.ndarray) -> torch.Tensor:
            if not held:
                layer = torch.zeros(3)
                held.append(weakref.ref(layer))
                raise torch.OutOfMemoryError
            assert held[0]() is None, "the failed run's memory is still in use"
            return super().features(batch)

    made = read_manifest(bundle)
    predictor = Predictor(made, Greedy(load_network(bundle, made), CPU), batch_size=2, on_gpu=True)
    ready = [prepare(made.preprocess, photograph)] * 2
    assert len(predictor.classify(ready)) == 2


def test_a_batch_that_leaves_a_halfs_range_is_run_again_exactly(bundle: Path, photograph: np.ndarray) -> None:
    class Overflowing(TorchRuntime):
        def features(self, batch: np.ndarray) -> torch.Tensor:
            return super().features(batch) * torch.inf

    made = read_manifest(bundle)
    network = load_network(bundle, made)
    exact = TorchRuntime(network, CPU)
    ready = [prepare(made.preprocess, photograph)]
    (saved,) = Predictor(made, Overflowing(network, CPU), exact=exact).classify(ready)
    (plain,) = Predictor(made, exact).classify(ready)
    assert saved.scores == plain.scores


def test_threads_follow_the_affinity_of_the_process() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from ocunet_pacs.model.runtime import cpu_count; print(cpu_count())"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "1"
    assert cpu_count() >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_threads_of_a_settled_process_share_one_heap_and_its_free_pages_can_go() -> None:
    """The most that a process of twenty threads keeps is what they need at once, not what each needed at its time."""
    program = (
        f"{WITH_MALLOC}import threading\n"
        "from ocunet_pacs.imaging.allocator import give_back, settle_allocator\n"
        "def use():\n"
        "    parts = [c.malloc(1 << 16) for _ in range(320)]\n"
        "    for part in parts: ctypes.memset(part, 1, 1 << 16)\n"
        "    for part in parts: c.free(part)\n"
        "settled, before, held = settle_allocator(), resident(), threading.Event()\n"
        "for _ in range(10):\n"
        "    thread = threading.Thread(target=lambda: (use(), done.set(), held.wait()))\n"
        "    done = threading.Event(); thread.start(); done.wait()\n"
        "kept = resident() - before; give_back()\n"
        "print(int(settled), kept, resident() - before); held.set()\n"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    settled, kept, left = map(int, said.stdout.split())
    if settled:
        assert 15 <= kept <= 40, "MiB: ten threads had 20 each, one after the other"
        assert left <= 10


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_settled_allocator_keeps_large_buffers() -> None:
    """Page faults of a second large buffer: none where the first one's memory was kept."""
    program = (
        f"{WITH_MALLOC}import resource\n"
        "from ocunet_pacs.imaging.allocator import settle_allocator\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    p = c.malloc(1 << 26); ctypes.memset(p, 1, 1 << 26); c.free(p)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "print(int(settle_allocator()), faults(), faults())\n"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    settled, first, second = map(int, said.stdout.split())
    if settled:  # another C library has nothing to settle
        assert second < first / 10
