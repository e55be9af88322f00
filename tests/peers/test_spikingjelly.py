"""SpikingJelly's own counters on our network give what our rule of that name gives; and where they are wrong."""

import numpy as np
import pytest

from snncore import count_ops
from snncore import functions as F
from snncore.energy import apply_rule
from tests.peers.mirror import NETWORKS, network

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
counters = pytest.importorskip(
    "spikingjelly.activation_based.op_counter", reason="this SpikingJelly has no operation counters"
)


def count(run):
    """(MAC, AC, SynOps) of what `run` executes."""
    three = [counters.MACCounter(), counters.ACCounter(), counters.SynOpCounter()]
    with torch.no_grad(), counters.DispatchCounterMode(three):
        run()
    return [counter.get_total() for counter in three]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_with_weights_batch_norm_and_pooling(name):
    ops, modules = network(name)
    wanted = ("Conv2d", "Linear", "BatchNorm", "AvgPool2d")
    found = [0, 0, 0]
    for layer in modules:
        if layer.name in wanted:
            found = [a + b for a, b in zip(found, count(lambda layer=layer: layer.module(layer.x)), strict=True)]
    kept = [call for call in ops.calls if call.function in wanted]
    ops.calls = kept
    ours = apply_rule("spikingjelly", ops)
    assert found == [ours.mac, ours.ac, ours.extra["synops"]]


@pytest.mark.filterwarnings("ignore")
def test_residual_additions_and_means():
    a, b = torch.tensor([[1.0, 0, 1]]), torch.tensor([[1.0, 1, 0]])
    assert count(lambda: a + b)[1] == 4  # an addition an event
    assert count(lambda: (a + b) + b)[1] == 4 + 3  # one of them graded: one an entry
    assert count(lambda: torch.ones(4, 2).mean(0))[1] == 6


@pytest.mark.filterwarnings("ignore")
def test_defect_graded_spikes_have_no_synaptic_operations():
    """A value of 2 makes SynOps zero and the layer dense."""
    conv = torch.nn.Conv2d(1, 2, 3, padding=1, bias=False)
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 1] = 1
    assert count(lambda: conv(x)) == [0, 9 * 2, 9 * 2]
    x[0, 0, 2, 2] = 2
    assert count(lambda: conv(x)) == [9 * 2 * 16, 0, 0]


@pytest.mark.filterwarnings("ignore")
def test_layer_normalisation_and_dropout_are_in_none_of_its_counts():
    x = torch.randn(5, 7)
    for module in (torch.nn.LayerNorm(7), torch.nn.Dropout(0.5), torch.nn.Dropout(0.5).eval()):
        assert count(lambda module=module: module(x)) == [0, 0, 0]


@pytest.mark.filterwarnings("ignore")
def test_a_ternary_train_of_floats_is_dense_in_both():
    x = np.array([[[1, -1, 0]], [[0, 0, -1]]], np.float32)
    layer = torch.nn.Linear(3, 2, bias=False)
    with count_ops() as ops:
        F.Linear()(x, np.ones((3, 2), np.float32))
    reading = apply_rule("spikingjelly", ops)
    assert count(lambda: layer(torch.from_numpy(x)))[:2] == [reading.mac, reading.ac] == [12, 0]
