"""syops-counter's own hooks on our network give what our rule of that name gives; and where they are wrong."""

import numpy as np
import pytest

from snncore import count_ops
from snncore import functions as F
from snncore.energy import apply_rule
from tests.peers.mirror import NETWORKS, network

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
syops = pytest.importorskip("syops.ops", reason="the extra peers is not installed")


def theirs(layer):
    """(MAC, AC) of one layer."""
    if layer.module is None:
        layer.module = torch.nn.Identity()
        hook = syops.LIF_syops_counter_hook
    else:
        hook = syops.MODULES_MAPPING[type(layer.module)]
    layer.module.__syops__ = np.zeros(4)
    hook(layer.module, (layer.x,), layer.y)
    _, ac, mac, _ = layer.module.__syops__
    return mac, ac


@pytest.mark.parametrize("name", NETWORKS)
def test_operations(name):
    ops, modules = network(name)
    mac, ac = np.array([theirs(layer) for layer in modules]).sum(axis=0)
    ours = apply_rule("syops", ops)
    assert ours.mac == mac
    assert ours.ac == pytest.approx(ac, rel=1e-5)  # their mean is float32
    assert ac > 0


def test_defect_sew_addition_turns_a_layer_dense():
    """The first convolution after a sum of spikes becomes multiply-accumulates, all of it."""
    conv = torch.nn.Conv2d(1, 2, 3, padding=1, bias=False)
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 1] = 1
    for value, expected in ((1, (0, 9 * 2 * 16 / 16)), (2, (9 * 2 * 16, 0))):
        x[0, 0, 2, 2] = value if value == 2 else 0
        conv.__syops__ = np.zeros(4)
        syops.conv_syops_counter_hook(conv, (x,), conv(x))
        assert (conv.__syops__[2], conv.__syops__[1]) == pytest.approx(expected)


def test_defect_a_spike_in_the_corner_counts_as_one_in_the_middle():
    x = np.zeros((1, 1, 4, 4, 1), np.uint8)
    x[0, 0, 0, 0] = 1
    w = np.ones((3, 3, 1, 2), np.float32)
    with count_ops() as ops:
        F.Conv2d(1, 1)(x, w)
    assert ops.totals()["ac_binary"] == 4 * 2  # of the 9 taps, 4 land inside
    assert apply_rule("syops", ops).ac == pytest.approx(9 * 2)
    assert apply_rule("neurobench", ops).ac == 4 * 2


def test_defect_two_values_below_one_are_taken_for_spikes():
    spike, rate = syops.spike_rate(torch.tensor([0.0, 0.5, 0.5, 0.0]))
    assert (spike, rate) == (True, 0.25)


def test_layer_normalisation_and_dropout_have_no_hook():
    assert torch.nn.BatchNorm1d in syops.MODULES_MAPPING
    assert not {torch.nn.LayerNorm, torch.nn.Dropout} & set(syops.MODULES_MAPPING)
