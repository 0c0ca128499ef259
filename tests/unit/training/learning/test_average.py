"""The averaged network is a whole network: statistics averaged, counters copied, fit for a bundle."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch

from ocunet_pacs.model.network import build_network, empty_network
from training.learning.average import Average

ARCHITECTURE = "mobilenetv3_small_050"


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_network(ARCHITECTURE, 3, dropout=0.0).train()


def walk(network, steps, averages=(), seed=5):
    """Move the network about as training does; every state that it had."""
    random = torch.Generator().manual_seed(seed)
    states = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=random), alpha=0.1)
            network(torch.randn(4, 3, 64, 64, generator=random))
        for average in averages:
            average.update(network)
        states.append({name: value.clone().double().numpy() for name, value in network.state_dict().items()})
    return states


def test_every_number_is_averaged_and_every_counter_copied(network):
    average = Average(network, 0.6)
    expected = {name: value.double().numpy() for name, value in copy.deepcopy(network).state_dict().items()}
    for n, state in enumerate(walk(network, 12, [average])):
        decay = min(0.6, (1 + n) / (10 + n))
        expected = {name: decay * expected[name] + (1 - decay) * value for name, value in state.items()}
    kinds = set()
    for name, value in average.network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert value == 12, name
        else:
            np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
        kinds.add(name.rpartition(".")[2])
    assert {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"} <= kinds


def test_it_is_a_network_for_a_bundle_and_apart_from_the_one_it_follows(network):
    average = Average(network, 0.999)
    before = copy.deepcopy(network)
    walk(network, 2, [average])
    assert network.training
    assert not average.network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    empty_network(ARCHITECTURE, 3).load_state_dict(average.network.state_dict(), assign=True)
    assert not torch.equal(before.backbone.conv_stem.weight, average.network.backbone.conv_stem.weight)


def test_a_short_run_forgets_its_start(network):
    start = network.head.classifier[-1].weight.detach().clone()
    average = Average(network, 0.999)
    with torch.no_grad():
        network.head.classifier[-1].weight.fill_(1.0)
    for _ in range(20):
        average.update(network)
    left = (average.network.head.classifier[-1].weight - 1.0).abs().max() / (start - 1.0).abs().max()
    assert left < 0.01


def test_decay_zero_is_a_copy(network):
    average = Average(network, 0.0)
    walk(network, 3, [average])
    for name, value in network.state_dict().items():
        assert torch.equal(average.network.state_dict()[name], value), name


def test_it_goes_on_bit_for_bit_from_a_file(network):
    other = copy.deepcopy(network)
    whole = Average(network, 0.9)
    walk(network, 3, [whole])
    walk(network, 4, [whole], seed=6)
    first = Average(other, 0.9)
    walk(other, 3, [first])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Average(build_network(ARCHITECTURE, 3), 0.9)
    second.load_state_dict(torch.load(file, weights_only=True))
    walk(other, 4, [second], seed=6)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value), name
