"""NeuroBench's own code on our network gives what our rule of that name gives; and where it is wrong."""

import numpy as np
import pytest

from snncore import count_ops
from snncore import functions as F
from snncore.energy import apply_rule
from tests.peers.mirror import NETWORKS, network

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
layers = pytest.importorskip("neurobench.metrics.utils.layers", reason="the extra peers is not installed")


@pytest.mark.parametrize("name", NETWORKS)
def test_effective_and_dense_operations(name):
    ops, modules = network(name)
    found = {"mac": 0, "ac": 0, "dense": 0}
    for layer in modules:
        if layer.name in ("Conv2d", "Linear"):
            count, spiking = layers.single_layer_MACs(layer.x, layer.module)
            found["ac" if spiking else "mac"] += count
            found["dense"] += layers.single_layer_MACs(layer.x, layer.module, total=True)[0]
    ours = apply_rule("neurobench", ops)
    assert found == {"mac": ours.mac, "ac": ours.ac, "dense": ours.extra["dense"]}
    assert found["ac"] > 0


def test_defect_one_graded_spike_makes_a_layer_multiply():
    layer = torch.nn.Linear(3, 2, bias=False)
    assert layers.single_layer_MACs(torch.tensor([[1.0, 1.0, 0.0]]), layer) == (4, True)
    assert layers.single_layer_MACs(torch.tensor([[1.0, 2.0, 0.0]]), layer) == (4, False)


def test_defect_counts_above_2_to_the_24_are_rounded():
    n = 4999  # 4999^2 is odd and above 2^24: no float32
    theirs, _ = layers.single_layer_MACs(torch.ones(1, n), torch.nn.Linear(n, n, bias=False))
    with count_ops() as ops:
        F.Linear()(np.ones((1, n), np.uint8), np.ones((n, n), np.float32))
    assert ops.totals()["ac_binary"] == n * n
    assert theirs != n * n
    assert theirs == pytest.approx(n * n, rel=1e-6)


def test_weights_that_are_zero_are_left_out_in_both():
    layer = torch.nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert layers.single_layer_MACs(torch.ones(1, 2), layer) == (3, True)
    w = np.ascontiguousarray(layer.weight.detach().numpy().T)
    with count_ops() as ops:
        F.Linear()(np.ones((1, 2), np.uint8), w)
    assert apply_rule("neurobench", ops).ac == 3
    assert apply_rule("exact", ops).ac == 4
    assert apply_rule("exact", ops).low_mj == pytest.approx(3 * 0.9e-9)


def test_a_ternary_train_of_floats_is_read_as_the_tool_reads_it():
    """-1, 0 and 1 are spikes there; the engine has no integers below 0, so that they come as floats."""
    x = np.array([[[1, -1, 0]], [[0, 0, -1]]], np.float32)
    layer = torch.nn.Linear(3, 2, bias=False)
    count, spiking = layers.single_layer_MACs(torch.from_numpy(x), layer)
    with count_ops() as ops:
        F.Linear()(x, np.ones((3, 2), np.float32))
    reading = apply_rule("neurobench", ops)
    assert (reading.ac, reading.mac, spiking) == (count, 0, True)
    assert apply_rule("spikingjelly", ops).mac == 12  # which knows 0 and 1 alone: dense
    assert apply_rule("syops", ops).mac == 12
