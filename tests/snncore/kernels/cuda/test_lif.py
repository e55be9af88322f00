"""LIF: spikes and membranes bit for bit, gradients to a few roundings."""

import numpy as np
import pytest

from snncore.firing import Firing
from snncore.kernels import cuda, reference
from snncore.surrogate import SURROGATES, Sigmoid, relaxed
from tests.snncore.kernels.cuda.pairs import SIZES, assert_close, both, floats, up
from tests.support.double.ledger import events

RESETS = pytest.mark.parametrize("v_reset", [None, 0.0, -0.25])


@RESETS
@pytest.mark.parametrize("n", SIZES)
def test_forward_is_the_reference_bit_for_bit(gpu, rng, n, v_reset):
    for v0 in (None, floats(rng, n)):
        expected, got = both(gpu, "lif_forward", floats(rng, 6, n, std=2), v0, Firing(0.7, 1.0, v_reset))
        assert n == 1 or 0 < expected[0].mean() < 1
        for e, g in zip(expected, got, strict=True):
            assert g.dtype == e.dtype
            np.testing.assert_array_equal(g, e)


def test_a_membrane_exactly_on_the_threshold_fires(gpu):
    current = np.array([[1.0, np.nextafter(np.float32(1), np.float32(0)), 0.5]], np.float32)
    s, _ = cuda.lif_forward(up(gpu, current), None, Firing())
    assert s.get().tolist() == [[1, 0, 0]]


@RESETS
@pytest.mark.parametrize("n", SIZES)
def test_backward(gpu, rng, n, v_reset):
    c, gs = floats(rng, 5, n), floats(rng, 5, n)
    for v0, gv, detach in ((None, None, False), (floats(rng, n), floats(rng, n), False), (None, floats(rng, n), True)):
        neuron = (v0, Firing(0.6, 1.0, v_reset, Sigmoid(3.0), detach))
        args = (gs, gv, c, reference.lif_forward(c, *neuron)[0], *neuron)
        assert_close(*both(gpu, "lif_backward", *args), 3e-6, ("gc", "gv0", "gdecay"))


@pytest.mark.parametrize("name", SURROGATES)
def test_backward_with_every_surrogate(gpu, rng, name):
    surrogate = SURROGATES[name](1.3)
    gs, c, neuron = floats(rng, 4, 67), floats(rng, 4, 67), (None, Firing(surrogate=surrogate))
    args = (gs, None, c, reference.lif_forward(c, *neuron)[0], *neuron)
    expected, got = both(gpu, "lif_backward", *args)
    assert np.abs(expected[0]).max() > 0.1
    assert_close(expected, got, 3e-6, ("gc", "gv0", "gdecay"))


def test_arrays_that_are_not_contiguous_are_taken(gpu, rng):
    c, gs = up(gpu, floats(rng, 9, 4, 5)).transpose(1, 0, 2), up(gpu, floats(rng, 4, 5))
    s, _ = cuda.lif_forward(c, None, Firing())
    copied, _ = cuda.lif_forward(gpu.ascontiguousarray(c), None, Firing())
    np.testing.assert_array_equal(s.get(), copied.get())
    spread = gpu.broadcast_to(gs[:, None], (4, 9, 5))
    gc, _, _ = cuda.lif_backward(spread, None, c, s, None, Firing())
    same, _, _ = cuda.lif_backward(gpu.ascontiguousarray(spread), None, c, s, None, Firing())
    np.testing.assert_array_equal(gc.get(), same.get())


def test_float64_and_relaxed_mode_are_left_to_the_reference(gpu, rng):
    c = floats(rng, 3, 8)
    before = events["launch"]
    s, _ = cuda.lif_forward(up(gpu, c.astype(np.float64)), None, Firing())
    with relaxed():
        smooth, _ = cuda.lif_forward(up(gpu, c), None, Firing())
    assert (s.dtype, smooth.dtype) == (np.uint8, np.float32)
    assert 0 < smooth.get().min() < smooth.get().max() < 1
    assert events["launch"] == before


def test_a_surrogate_of_ones_own_is_left_to_the_reference(gpu, rng):
    class Own(Sigmoid):
        def derivative(self, x):
            return 0 * x + 2

    c, gs = up(gpu, floats(rng, 1, 8)), up(gpu, floats(rng, 1, 8))
    s, _ = cuda.lif_forward(c, None, Firing(surrogate=Own()))
    gc, _, _ = cuda.lif_backward(gs, None, c, s, None, Firing(surrogate=Own()))
    np.testing.assert_array_equal(gc.get(), 2 * gs.get())
