"""What a training step on the CPU keeps for its backward pass: currents in float32, spikes as bits, and no more."""

import numpy as np
import pytest

from misnet import MISNet
from snncore import Tensor
from snncore.kernels.choice import use_kernels
from tests.misnet.tiny import make_batch, tiny_config

T, N, SIZE, CHANNELS = 4, 4, 16, 16
ENTRIES = T * N * SIZE * SIZE * CHANNELS  # of a map of spikes


def kept_bytes(loss, model):
    """Bytes of the arrays that the calls below a tensor have saved, each once, without those of parameters."""
    parameters = {id(p.data) for p in model.parameters()}
    seen, waiting, found = {loss.node}, [loss.node], {}
    while waiting:
        node = waiting.pop()
        for x in node.function.saved:
            x = getattr(x, "bits", x)
            if x is not None and id(x) not in parameters:
                owner = x if x.base is None else x.base
                found[id(owner)] = owner.nbytes
        new = {source[0] for source in node.sources if isinstance(source, tuple)} - seen
        seen |= new
        waiting += new
    return sum(found.values())


def step(model, config):
    *streams, labels = make_batch(config, n=N)
    return model.loss(model(*map(Tensor, streams)), labels)


@pytest.mark.parametrize("arithmetic", ["float32", "exact"])
def test_a_step_keeps_currents_and_bits(arithmetic, monkeypatch):
    monkeypatch.setenv("SNNCORE_ARITHMETIC", arithmetic)
    config = tiny_config(size=SIZE, channels=(CHANNELS,), cells=(1,), timesteps=T, visual_channels=1)
    model = MISNet(config)
    loss = step(model, config)
    # Of each modality: the currents of three neurons (float32), as bits the inputs of two convolutions and the pooling,
    # what it returns, and the input of the MLIF (two bits an entry, as SEW adds); and the analog input.
    bits = 3 * ENTRIES / 8 + ENTRIES / 4 / 8 + 2 * ENTRIES / 8
    analog = T * N * SIZE * SIZE * 4
    expected = 2 * (3 * 4 * ENTRIES + bits + analog)
    assert kept_bytes(loss, model) == pytest.approx(expected, rel=0.01)
    with use_kernels("reference"):  # which keep spikes as bytes, and those of each neuron
        assert kept_bytes(step(model, config), model) > 1.2 * expected
    loss.backward()
    for p in model.parameters():
        assert np.isfinite(p.grad).all()
