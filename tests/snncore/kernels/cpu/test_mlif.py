"""The compiled MLIF: the reference's spikes to the bit, its gradients to rounding."""

from dataclasses import replace

import numpy as np
import pytest

from snncore.firing import Firing
from snncore.kernels import cpu, reference
from snncore.kernels.cpu.mlif import rows_of
from snncore.surrogate import SURROGATES
from tests.snncore.kernels.agreement import assert_agrees

SHAPES = [(4, 2, 5, 3, 7), (1, 1, 1, 1, 1), (3, 9, 2, 6, 70), (2, 3, 2, 2, 1100)]
WEIGHTS = {"none": lambda s: None, "pixel": lambda s: (s[2], s[3], 1), "channel": lambda s: (s[4],)}


def problem(shape, weight, seed=0):
    rng = np.random.default_rng(seed)
    o = rng.integers(0, 3, shape).astype(np.uint8)
    form = WEIGHTS[weight](shape)
    w = None if form is None else rng.uniform(0.5, 1.5, form).astype(np.float32)
    gs, gu = (rng.standard_normal(s).astype(np.float32) for s in (shape, shape[1:]))
    return o, w, np.array(0.6, np.float32), gs, gu


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("v_reset", [None, 0.1])
@pytest.mark.parametrize("analog", [False, True])
def test_spikes_to_the_bit_and_gradients_to_rounding(shape, weight, v_reset, analog):
    o, w, alpha, gs, gu = problem(shape, weight)
    o = o.astype(np.float32) * np.float32(0.9) if analog else o
    firing = Firing(0.5, 0.8, v_reset)
    call = (o, w, alpha, None, firing)
    (s, u), (right, membrane) = cpu.mlif_forward(*call), reference.mlif_forward(*call)
    assert s.dtype == np.uint8
    np.testing.assert_array_equal(s, right)
    np.testing.assert_array_equal(u, membrane)
    for detach_reset in (False, True):
        for last in (None, gu):
            args = (gs, last, o, s, w, alpha, None, replace(firing, detach_reset=detach_reset))
            found, expected = cpu.mlif_backward(*args), reference.mlif_backward(*args)
            assert_agrees(found[0], expected[0], 1e-5)
            assert found[3] is None
            if w is None:
                assert found[1] is expected[1] is None
            else:
                assert_agrees(found[1], expected[1], 1e-5)
            scale = np.abs(gs).sum()  # alpha's gradient is a sum that nearly cancels
            assert abs(found[2] - expected[2]) < 1e-6 * (scale + abs(expected[2]))


@pytest.mark.parametrize("name", SURROGATES)
def test_every_surrogate(name):
    o, w, alpha, gs, _ = problem((4, 2, 3, 3, 8), "pixel")
    neuron = (w, alpha, None, Firing(0.5, 0.8, surrogate=SURROGATES[name]()))
    s, _ = reference.mlif_forward(o, *neuron)
    found, expected = (k.mlif_backward(gs, None, o, s, *neuron) for k in (cpu, reference))
    assert_agrees(found[0], expected[0], 1e-5)
    assert_agrees(found[1], expected[1], 1e-5)


def test_a_membrane_from_an_earlier_call_is_the_reference():
    o, w, alpha, gs, gu = problem((3, 2, 2, 2, 4), "pixel")
    neuron = (w, alpha, gu, Firing(0.5, 0.8))
    for found, right in zip(cpu.mlif_forward(o, *neuron), reference.mlif_forward(o, *neuron), strict=True):
        np.testing.assert_array_equal(found, right)
    args = (gs, None, o, cpu.mlif_forward(o, *neuron)[0], *neuron)
    for found, right in zip(cpu.mlif_backward(*args), reference.mlif_backward(*args), strict=True):
        np.testing.assert_array_equal(found, right)


def test_no_weight_is_a_reason_to_compile_again():
    """A read-only array is another type to Numba, and a second compilation takes ten seconds."""
    for weight in (None, np.ones((1, 1, 1), np.float32), np.broadcast_to(np.float32(1), (5, 3, 7))):
        rows, weights = rows_of(np.zeros((2, 1, 5, 3, 7), np.uint8), weight)
        assert (rows.shape, weights.shape, weights.flags.writeable) == ((2, 1, 5, 21), (5, 21), True)
        np.testing.assert_array_equal(weights, 1)
    assert rows_of(np.zeros((2, 1, 1, 1, 1), np.uint8), None)[1].flags.writeable
