"""The helper for operations with weights: one's own operation is read by every rule as the house's are."""

import numpy as np
import pytest

from snncore import Function, count_ops
from snncore import functions as F
from snncore.energy import RULES, apply_rule
from snncore.opcount import conv_taps, weights_backward, weights_cost


class MyDepthwise(Function):
    """A user's operation: each channel [.., H, W, C] convolved by its own window w [kh, kw, 1, C], plainly written."""

    def forward(self, x, w):
        kh, kw, _, channels = w.shape
        rows, cols = x.shape[-3] - kh + 1, x.shape[-2] - kw + 1
        y = np.zeros((*x.shape[:-3], rows, cols, channels), w.dtype)
        for i, j in np.ndindex(kh, kw):
            y += x[..., i : i + rows, j : j + cols, :] * w[i, j, 0]
        return y

    def backward(self, gy):
        raise NotImplementedError

    def cost(self, inputs, outputs):
        x, w = inputs
        return weights_cost("MyDepthwise", x, outputs[0], w, None, 1, conv_taps(x.shape[-3:-1], w.shape[:2], (1, 1)))

    def cost_backward(self, inputs, outputs):
        return weights_backward((*self.needs, False), self.cost(inputs, outputs), outputs[0])


def counted(function, *inputs):
    with count_ops(backward=True) as ops:
        function(*inputs)
    return ops


@pytest.mark.parametrize("spikes", [True, False])
def test_every_rule_reads_an_operation_of_ones_own_like_that_of_the_house(rng, spikes):
    x = rng.integers(0, 2, (2, 3, 5, 4, 6)).astype(np.uint8 if spikes else np.float64)
    w = rng.standard_normal((3, 2, 1, 6))
    own, house = counted(MyDepthwise(), x, w), counted(F.GroupedConv2d(), x, w)
    assert own.totals() == house.totals()
    pixel_windows = np.outer([1, 2, 3, 2, 1], [1, 2, 2, 1])[:, :, None]
    if spikes:
        assert own.totals()["ac_binary"] == int((x * pixel_windows).sum())
    for rule in RULES:
        energies = [apply_rule(rule, ops).energy_mj for ops in (own, house)]
        assert energies[0] == energies[1], rule
        assert energies[0] > 0 or rule == "spikingresformer", rule  # which skips a network's first convolution


def test_a_group_reaches_its_own_outputs_only(rng):
    """Lemaire's rule: a spike into a convolution adds into the channels of its group, for each tap of the window."""
    x = rng.integers(0, 2, (2, 3, 5, 4, 6)).astype(np.uint8)
    for groups, targets in ((6, 2), (3, 4), (1, 12)):
        ops = counted(F.GroupedConv2d(), x, rng.standard_normal((3, 3, 6 // groups, 12)))
        assert apply_rule("lemaire", ops).ac == int(x.sum()) * targets * 9


def test_taps_are_counted_at_borders_with_stride_padding_and_dilation():
    found = conv_taps((5, 4), (3, 1), (2, 1), (1, 0), (2, 1))  # rows 0-2-4 of the padded image, then 2-4-6
    assert found[:, 0].tolist() == [0, 2, 0, 2, 0]
    assert (found == found[:, :1]).all()
