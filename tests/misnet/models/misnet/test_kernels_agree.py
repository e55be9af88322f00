"""A whole network with compiled kernels against the same with the reference's, on real digits and their tones."""

import copy
import itertools

import numpy as np
import pytest

from misnet import MISNet, MISNetConfig, loss
from misnet.datasets import BatchIterator, load_dataset
from snncore import Tensor, no_grad, observe
from snncore import functions as F
from snncore.kernels import reference
from tests.snncore.kernels.agreement import assert_agrees

NEAR = 1e-5  # of the threshold: where rounding may decide


@pytest.fixture(scope="module")
def batch():
    return next(BatchIterator(load_dataset("dialpad", "train"), 8).epoch(0))


def gradients_and_spikes(config, seed, batch):
    """Return {parameter: gradient} of the loss, and all spike trains in order; gamma is 2, so that layers fire."""
    model = MISNet(config, seed)
    for name, p in model.named_parameters():
        if name.endswith("bn.weight"):
            p.data *= 2
    calls = []
    with observe(lambda *call: calls.append(call)):
        outputs = model(*(Tensor(x) for x in batch[:2]))
    loss(outputs, batch[2], config).backward()
    trains = [y for function, _, ys in calls if function.spiking for y in ys]
    return {name: p.grad for name, p in model.named_parameters()}, trains


def network():
    return MISNet(MISNetConfig(variant="XS", size=8, visual_channels=1, head_scale=1.0), seed=0)


def record(model, inputs):
    """Return (function, input arrays, output arrays) of every call of a forward pass."""
    calls = []
    with observe(lambda *call: calls.append(call)):
        model(*(Tensor(x) for x in inputs))
    return calls


def first_differences(currents, found, expected, function):
    """Distance from the threshold of each membrane at the first timestep at which its spikes differ."""
    decay, v_threshold = function.firing.decay, function.firing.v_threshold
    h, v, far = np.zeros(0), np.zeros(currents.shape[1:]), []
    settled = np.zeros(currents.shape[1:], bool)
    for t in range(len(currents)):
        h = decay * v + currents[t]
        new = (found[t] != expected[t]) & ~settled
        far.extend(np.abs(h - v_threshold)[new])
        settled |= new
        v = h - v_threshold * expected[t]
    return np.array(far)


@pytest.mark.parametrize("training", [True, False])
def test_every_layer_fires_alike_but_on_the_threshold(batch, monkeypatch, training):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    model = network().train(training)
    calls = record(model, batch[:2])
    monkeypatch.setenv("SNNCORE_KERNELS", "auto")
    compared = different = 0
    for (conv, inputs, outputs), (neuron, constants, trains) in itertools.pairwise(calls):
        if not isinstance(neuron, F.BatchNormLIF):
            continue
        (y,), (s,) = outputs, trains
        with no_grad():
            ours = copy.copy(conv)(*inputs)
            found = copy.copy(neuron)(ours, *constants[1:]).data
        assert_agrees(ours.data, y, 1e-5)
        currents = reference.batch_norm_forward(y, neuron.mean, neuron.inv_std, *constants[1:])
        far = first_differences(currents, found, s, neuron)
        assert (far < NEAR).all(), far
        compared += s.size
        different += int((found != s).sum())
    assert compared > 500_000
    assert different <= compared * 1e-5


def test_gradients_of_the_whole_network(batch, monkeypatch):
    gradients, spikes = [], []
    for choice in ("reference", "auto", "event", "dense"):
        monkeypatch.setenv("SNNCORE_KERNELS", choice)
        model = network()
        calls = []
        with observe(lambda *call, calls=calls: calls.append(call)):
            outputs = model(*(Tensor(x) for x in batch[:2]))
        loss(outputs, batch[2], model.config).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
        spikes.append([y for function, _, ys in calls if function.spiking for y in ys])
    for others, fired in zip(gradients[1:], spikes[1:], strict=True):
        for s, right in zip(fired, spikes[0], strict=True):
            np.testing.assert_array_equal(s, right)  # with this seed no membrane is on a threshold
        for name, g in others.items():
            bound = 1e-3 if "alpha" in name else 1e-4  # a sum over all pixels that nearly cancels
            assert_agrees(g, gradients[0][name], bound)


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize(("alpha", "threshold"), [(0.4, 1.2), (0.2, 0.6)])
def test_gradients_where_many_membranes_are_on_the_threshold_of_the_mlif(monkeypatch, alpha, threshold, reset):
    """alpha * 3 rounds to the threshold in float32: the first spikes of an MLIF with W at 1 land on it."""
    on_threshold = {"alpha": alpha, "mlif_v_threshold": threshold, "reset": reset}
    config = MISNetConfig("XS", (16, 32), (2, 1), size=16, visual_channels=1, head_scale=1.0, **on_threshold)
    rng = np.random.default_rng(0)
    batch = (*rng.random((2, 4, 4, 16, 16, 1), np.float32), rng.integers(0, 10, 4))
    results = []
    for choice in ("reference", "auto"):
        monkeypatch.setenv("SNNCORE_KERNELS", choice)
        results.append(gradients_and_spikes(config, 0, batch))
    (expected, right), (found, trains) = results
    for s, wanted in zip(trains, right, strict=True):
        np.testing.assert_array_equal(s, wanted)
    assert [0.01 < s.mean() < 0.9 for s in trains[:12]] == [
        True
    ] * 12  # the first cell with its MLIF; later ones are silent
    for name, g in found.items():
        assert_agrees(g, expected[name], 1e-3 if "alpha" in name else 1e-4)
