"""A run starts from what the recipe names, and says so; what does not fit is named, never loaded in part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from ocunet_pacs.domain.errors import BundleError, UnsafeCheckpoint
from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.model.bundle import load_network, write_bundle
from ocunet_pacs.model.checkpoint import read_checkpoint
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.torch_compat import import_timm
from tests.unit.model.conftest import LABELS as BUNDLE_LABELS
from tests.unit.model.conftest import lively_network, manifest
from training.errors import RunError
from training.learning.starts import starting_network
from training.recipe import Network

SMALL = "mobilenetv3_small_050"
LAST = "head.classifier.13."


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start") / "bundle"
    write_bundle(folder, lively_network(len(BUNDLE_LABELS)).state_dict(), manifest(), prepare=False)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as timm's hub has it: the backbone with its own classifier of 1,000."""
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(9)
        safetensors.torch.save_file(import_timm().create_model(SMALL).state_dict(), path)
    return path


def assert_same(ours, theirs, leave_out=()):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if not name.startswith(tuple(leave_out)):
            assert torch.equal(ours[name], value), name


def test_nothing_depends_on_the_seed_alone():
    recipe = Network(architecture=SMALL, start="nothing", dropout=0.2)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, said = starting_network(recipe, ["DR"], 42)
    assert torch.equal(torch.get_rng_state(), before), "nobody else's numbers change"
    torch.manual_seed(2)
    assert_same(starting_network(recipe, ["DR"], 42)[0].state_dict(), first.state_dict())
    other, _ = starting_network(recipe, ["DR"], 43)
    assert not torch.equal(other.head.attention.fc1.weight, first.head.attention.fc1.weight)
    assert "seed 42" in said
    assert first.training
    assert first.head.classifier[0].p == 0.2


def test_a_bundles_outputs_are_carried_over_by_name(bundle):
    recipe = Network(architecture="efficientnet_b0", start="bundle", weights=bundle)
    labels = ["RP", "NORMAL", "DR"]
    network, said = starting_network(recipe, labels, 3)
    old = load_network(bundle, read_manifest(bundle)).state_dict()
    new = network.state_dict()
    drawn = starting_network(recipe.model_copy(update={"start": "nothing"}), labels, 3)[0].state_dict()
    assert_same(new, old | {name: new[name] for name in new if name.startswith(LAST)})
    for name in (f"{LAST}weight", f"{LAST}bias"):
        assert torch.equal(new[name][1], old[name][BUNDLE_LABELS.index("NORMAL")])
        assert torch.equal(new[name][2], old[name][BUNDLE_LABELS.index("DR")])
        assert torch.equal(new[name][0], drawn[name][0])
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert read_manifest(bundle).digest in said
    assert "no output for RP" in said
    assert "outputs for Disease_Risk were left behind" in said


def test_the_same_labels_give_the_same_network(bundle):
    recipe = Network(architecture="efficientnet_b0", start="bundle", weights=bundle)
    network, said = starting_network(recipe, BUNDLE_LABELS, 3)
    assert_same(network.state_dict(), load_network(bundle, read_manifest(bundle)).state_dict())
    assert said.count(".") == 1


def test_another_architecture_names_both(bundle):
    with pytest.raises(RunError, match=r"efficientnet_b0.*resnet18.*network\.architecture"):
        starting_network(Network(architecture="resnet18", start="bundle", weights=bundle), BUNDLE_LABELS, 3)


def test_ocunets_checkpoint(shared: Path, tmp_path: Path):
    path = tmp_path / "ocunetv4.pth"
    subprocess.run([sys.executable, "-B", str(shared / "reference" / "make_checkpoint.py"), str(path)], check=True)
    labels = [label.name for label in LABELS][:5]
    network, said = starting_network(Network(start="checkpoint", weights=path), labels, 1)
    read = read_checkpoint(path)
    assert_same(network.state_dict(), {k: v[:5] if k.startswith(LAST) else v for k, v in read.weights.items()})
    assert read.source_sha256 in said
    with pytest.raises(BundleError):
        starting_network(Network(start="checkpoint", weights=tmp_path / "absent.pth"), labels, 1)


@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_imagenet_from_a_file_of_timms(weights: Path, tmp_path: Path, kind: str):
    path, state = weights, safetensors.torch.load_file(weights)
    if kind == "torch":
        path = tmp_path / "pytorch_model.bin"
        torch.save(state, path)
    network, said = starting_network(Network(architecture=SMALL, weights=path), ["DR", "RP"], 5)
    assert_same(network.backbone.state_dict(), {n: v for n, v in state.items() if not n.startswith("classifier.")})
    nothing, _ = starting_network(Network(architecture=SMALL, start="nothing"), ["DR", "RP"], 5)
    assert_same(network.head.state_dict(), nothing.head.state_dict())
    assert path.name in said
    assert "sha256" in said


def test_weights_that_are_not_the_architectures_are_refused(weights: Path, tmp_path: Path):
    with pytest.raises(RunError, match=r"does not hold timm's weights of resnet18 .*entries do not fit"):
        starting_network(Network(architecture="resnet18", weights=weights), ["DR"], 5)
    state = safetensors.torch.load_file(weights)
    for change in ({"conv_stem.weight": torch.zeros(16, 3, 5, 5)}, {"surprise": torch.zeros(1)}):
        path = tmp_path / "other.safetensors"
        safetensors.torch.save_file(state | change, path)
        with pytest.raises(RunError, match="1 of its entries do not fit"):
            starting_network(Network(architecture=SMALL, weights=path), ["DR"], 5)


class _Payload:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_code_in_a_file_of_weights_never_runs(tmp_path: Path):
    path, victim = tmp_path / "model.bin", tmp_path / "victim"
    torch.save({"conv_stem.weight": _Payload(victim)}, path)
    with pytest.raises(UnsafeCheckpoint, match="safe load refuses"):
        starting_network(Network(architecture=SMALL, weights=path), ["DR"], 5)
    assert not victim.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin"])
@pytest.mark.parametrize("content", [None, b"", b"not weights at all", bytes(1000)])
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, name: str, content: bytes | None):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((RunError, UnsafeCheckpoint), match=name):
        starting_network(Network(architecture=SMALL, weights=path), ["DR"], 5)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub's, and no network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_without_a_network_the_error_says_what_to_do(hub):
    with pytest.raises(RunError) as refused:
        starting_network(Network(architecture=SMALL), ["DR"], 5)
    for part in (SMALL, "huggingface.co", "network.weights", "network.start"):
        assert part in str(refused.value)


def test_imagenet_through_timm_where_it_was_fetched_before(hub, weights: Path):
    repository = hub / "models--timm--mobilenetv3_small_050.lamb_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(weights.read_bytes())
    network, said = starting_network(Network(architecture=SMALL), ["DR"], 5)
    state = safetensors.torch.load_file(weights)
    assert_same(network.backbone.state_dict(), {n: v for n, v in state.items() if not n.startswith("classifier.")})
    assert "mobilenetv3_small_050.lamb_in1k" in said
