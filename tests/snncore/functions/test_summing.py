"""Which layers sum exactly, and that gradients are those of the float32 weights."""

from contextlib import nullcontext

import numpy as np
import pytest

from snncore import Tensor, arithmetic, relaxed
from snncore import functions as F
from snncore.kernels.choice import use_kernels
from snncore.kernels.reference import exact
from tests.snncore.kernels.cpu.layers import draw_spikes
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

LAYERS = {
    "Conv2d": (F.Conv2d(1, 1), (2, 5, 5, 4), (3, 3, 4, 6), lambda x, w: exact.exact_conv_forward(x, w, (1, 1), (1, 1))),
    "dilated": (
        F.Conv2d(1, 1, 2),
        (2, 5, 5, 4),
        (3, 3, 4, 6),
        lambda x, w: exact.exact_grouped_conv_forward(x, w, (1, 1), (1, 1), (2, 2)),
    ),
    "GroupedConv2d": (
        F.GroupedConv2d(1, 1),
        (2, 5, 5, 4),
        (3, 3, 2, 6),
        lambda x, w: exact.exact_grouped_conv_forward(x, w, (1, 1), (1, 1), (1, 1)),
    ),
    "Conv1d": (
        F.Conv1d(1, 1),
        (2, 7, 4),
        (3, 4, 6),
        lambda x, w: exact.exact_conv_forward(x[:, None], w[None], (1, 1), (0, 1))[:, 0],
    ),
    "Linear": (F.Linear(), (2, 3, 9), (9, 5), exact.exact_linear_forward),
    "MatMul": (F.MatMul(), (2, 3, 9), (9, 5), exact.exact_linear_forward),
}
each = pytest.mark.parametrize("name", LAYERS)


def operands(rng, name, analog=False):
    function, x, w, right = LAYERS[name]
    x = rng.standard_normal(x).astype(np.float32) if analog else draw_spikes(rng, x, 0.4)
    return function, x, rng.standard_normal(w).astype(np.float32), right


@each
@pytest.mark.parametrize("analog", [False, True])
@pytest.mark.parametrize("kernels", ["reference", "auto"])
def test_a_layer_sums_exactly_where_it_is_told_to(rng, name, analog, kernels):
    function, x, w, right = operands(rng, name, analog)
    with use_kernels(kernels):
        with arithmetic("float32"):
            plain = function(x, w).data
        with arithmetic("exact"):
            y = function(x, w).data
    np.testing.assert_array_equal(y, right(x, w))
    np.testing.assert_allclose(plain, y, rtol=0, atol=3e-6)
    assert (plain != y).any()


@each
def test_gradients_are_those_of_the_float32_weights(rng, name):
    function, x, w, _ = operands(rng, name)
    found = []
    for choice in ("float32", "exact"):
        weights = Tensor(w, requires_grad=True)
        with arithmetic(choice):
            y = function(x, weights)
            y.backward(np.ones(y.shape, np.float32))
        found.append(weights.grad)
    np.testing.assert_array_equal(*found)


@each
def test_a_bias_is_added_after_the_rounding(rng, name):
    function, x, w, right = operands(rng, name)
    if name == "MatMul":
        return
    b = rng.standard_normal(w.shape[-1]).astype(np.float32)
    with arithmetic("exact"):
        np.testing.assert_array_equal(function(x, w, b).data, right(x, w) + b)


@each
def test_float64_and_relaxed_mode_are_as_they_were(rng, name):
    function, x, w, _ = operands(rng, name)
    analog = rng.random(x.shape).astype(np.float32)
    for arrays, around in (((x, w.astype(np.float64)), nullcontext), ((analog, w), relaxed)):
        with around(), arithmetic("float32"):
            before = function(*arrays).data
        with around(), arithmetic("exact"):
            np.testing.assert_array_equal(function(*arrays).data, before)


@pytest.mark.parametrize("largest", [1, 255])
def test_a_product_of_spikes_is_rounded_once(rng, largest):
    """300 terms of up to 255 * 255 are above 2^24, where float32 sums round."""
    a = rng.integers(0, largest + 1, (2, 3, 300)).astype(np.uint8)
    b = rng.integers(0, largest + 1, (2, 300, 4)).astype(np.uint8)
    with arithmetic("exact"):
        y = F.MatMul()(a, b).data
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, (a.astype(np.int64) @ b.astype(np.int64)).astype(np.float32))


@pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
@each
@pytest.mark.parametrize("analog", [False, True])
def test_on_a_gpu_a_layer_gives_the_same_bits(rng, name, analog):
    function, x, w, right = operands(rng, name, analog)
    with double.installed() as cupy, arithmetic("exact"):
        y = function(cupy.asarray(x), cupy.asarray(w)).data.get()
    np.testing.assert_array_equal(y, right(x, w))


@pytest.mark.parametrize("largest", [1, 255])
def test_on_a_gpu_a_product_of_spikes_is_rounded_once_without_a_look(rng, largest):
    a = rng.integers(0, largest + 1, (2, 3, 300)).astype(np.uint8)
    b = rng.integers(0, largest + 1, (2, 300, 4)).astype(np.uint8)
    with double.installed() as cupy, arithmetic("exact"):
        on_device = cupy.asarray(a), cupy.asarray(b)
        before = ledger.events.copy()
        y = F.MatMul()(*on_device).data
        assert not ledger.events - before  # the host neither waited nor copied
        np.testing.assert_array_equal(y.get(), (a.astype(np.int64) @ b.astype(np.int64)).astype(np.float32))


@pytest.mark.parametrize("keepdims", [False, True])
def test_on_a_gpu_timesteps_are_added_in_their_order(rng, monkeypatch, keepdims):
    """As NumPy adds them. The double adds as NumPy does, so that what is seen is that it was not asked to add."""
    x = (rng.standard_normal((9, 3, 4)) * 10.0 ** rng.integers(-3, 4, (9, 3, 4))).astype(np.float32)
    right = x[0]
    for part in x[1:]:
        right = right + part
    with double.installed() as cupy, arithmetic("exact"):
        on_device = cupy.asarray(x)
        before = ledger.operations.copy()
        total, mean = F.Sum(0, keepdims)(on_device).data, F.Mean(0, keepdims)(on_device).data
        assert "sum" not in ledger.operations - before
        np.testing.assert_array_equal(total.get(), right[None] if keepdims else right)
        np.testing.assert_array_equal(mean.get(), F.Mean(0, keepdims)(x).data)
