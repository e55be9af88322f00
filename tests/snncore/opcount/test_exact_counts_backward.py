"""Counts of a backward pass equal those of an interpreter that goes back scalar by scalar, and finds its gradients."""

from collections import Counter

import numpy as np
import pytest

from snncore import Tensor, count_ops
from snncore import functions as F
from tests.reference import count_backward


def run(function, inputs, wanted):
    """(function as it was called, its gradients, back_* counts) under random output gradients."""
    leaves = [None if x is None else Tensor(x, requires_grad=w) for x, w in zip(inputs, wanted, strict=True)]
    with count_ops(backward=True) as ops:
        y = function(*leaves)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(gy)
    counts = {k: v for k, v in ops.calls[0].cost.totals().items() if k.startswith("back_")}
    call = y.node.function
    return call, gy, [None if x is None else x.grad for x in leaves], counts


def compare(found, expected):
    for g, e in zip(found, expected, strict=True):
        if g is not None:
            np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("wanted", [(True, True, True), (False, True, True), (True, False, False)])
@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), ((2, 1), (0, 2)), (3, 1)])
def test_convolution(rng, wanted, spikes, stride, padding):
    x = rng.integers(0, 3, (2, 1, 5, 4, 2))
    x = x.astype(np.uint8 if spikes else np.float64)
    w, b = rng.standard_normal((3, 2, 2, 3)), rng.standard_normal(3)
    call, gy, grads, counts = run(F.Conv2d(stride, padding), [x, w, b], wanted)
    n = Counter()
    expected = count_backward.conv(n, call, x, w, b, gy)
    compare(grads, expected)
    assert counts == {k: v for k, v in n.items() if v}


@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("layer", [(1, 1, 1), ((2, 1), (0, 2), (1, 2))])
@pytest.mark.parametrize("per_group", [1, 2])
def test_grouped_convolution(rng, layer, per_group, spikes):
    x = rng.integers(0, 3, (2, 1, 5, 4, 4))
    x = x.astype(np.uint8 if spikes else np.float64)
    w, b = rng.standard_normal((3, 2, per_group, 8)), rng.standard_normal(8)
    call, gy, grads, counts = run(F.GroupedConv2d(*layer), [x, w, b], (True, True, True))
    n = Counter()
    compare(grads, count_backward.conv(n, call, x, w, b, gy))
    assert counts == {k: v for k, v in n.items() if v}


@pytest.mark.parametrize("spikes", [True, False])
def test_linear(rng, spikes):
    x = rng.integers(0, 3, (2, 3, 4)).astype(np.uint8 if spikes else np.float64)
    w, b = rng.standard_normal((4, 5)), rng.standard_normal(5)
    call, gy, grads, counts = run(F.Linear(), [x, w, b], (True, True, True))
    n = Counter()
    compare(grads, count_backward.linear(n, call, x, w, b, gy))
    assert counts == {k: v for k, v in n.items() if v}


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("v_reset", [None, 0.0])
@pytest.mark.parametrize("decay", [0.5, 1.0])
@pytest.mark.parametrize("carried", [False, True])
def test_lif(rng, detach_reset, v_reset, decay, carried):
    c = rng.normal(1, 1, (4, 2, 3))
    v0 = rng.normal(0, 1, (2, 3)) if carried else None
    function = F.LIF(decay, 1.0, v_reset, detach_reset=detach_reset)
    call, gs, grads, counts = run(function, [c, v0], (True, False))
    n = Counter()
    compare(grads[:1], [count_backward.lif(n, call, c, v0, gs)])
    assert counts == {k: v for k, v in n.items() if v}


def test_a_backward_that_leaves_something_out_is_caught(rng, monkeypatch):
    cost_backward = F.Conv2d.cost_backward

    def without_bias(self, inputs, outputs):
        cost = cost_backward(self, inputs, outputs)
        cost.blocks[0][1].pop("back_add")
        return cost

    monkeypatch.setattr(F.Conv2d, "cost_backward", without_bias)
    x, w, b = np.ones((1, 1, 3, 3, 1)), np.ones((2, 2, 1, 1)), np.ones(1)
    call, gy, _, counts = run(F.Conv2d(), [x, w, b], (True, True, True))
    n = Counter()
    count_backward.conv(n, call, x, w, b, gy)
    assert counts != dict(n)
