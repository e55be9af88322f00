"""CLIF: a LIF with a second potential that deepens the reset."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore import check_gradients
from snncore.functions import CLIF
from snncore.surrogate import Sigmoid
from tests.reference import neurons
from tests.reference.scalar_tape import grads, scalars, values
from tests.snncore.calls import differentiate, like


def test_clif_gives_the_trace_worked_out_by_hand():
    def p(x):
        return 1 / (1 + math.exp(-x))

    # tau 2, threshold 1:
    # t=1: h = 1.5 fires; m = 0 * p(0.75) + 1 = 1;             v = 1.5 - 1 - p(1) = -0.2310586
    # t=2: h = -0.1155293 + 0.9 = 0.7844707 is silent; m = 1 * p(0.3922353) = 0.5968207; v = h
    # t=3: h = 0.3922353 + 0.8 = 1.1922353 fires; m = 0.5968207 * p(0.5961177) + 1;       v = h - 1 - p(m)
    m2 = p(0.7844707 / 2)
    m3 = m2 * p(1.1922353 / 2) + 1
    expected = [(1, 1 - 0.7310586 - 0.5, 1.0), (0, 0.7844707, m2), (1, 1.1922353 - 1 - p(m3), m3)]
    c = np.array([[1.5], [0.9], [0.8]])
    for t, (spike, membrane, complementary) in enumerate(expected, start=1):
        s, v, m = CLIF(return_state=True)(c[:t])
        assert s.data[-1].item() == spike
        assert v.data.item() == pytest.approx(membrane, abs=1e-7)
        assert m.data.item() == pytest.approx(complementary, abs=1e-7)


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("tau", [1.0, 2.0, 5.0])
def test_gradients_with_real_spikes_are_those_of_the_scalar_tape(rng, tau, detach_reset):
    c = rng.normal(0.7, 0.8, (6, 2, 3))
    v0, m0 = rng.normal(0.0, 0.5, (2, 2, 3))
    gs, gv, gm = like(rng, c, v0, m0)
    twins = [scalars(x) for x in (c, v0, m0)]
    twin_c, twin_v0, twin_m0 = twins
    out = neurons.clif(twin_c, neurons.sigmoid_slope(3.0), tau, 0.8, detach_reset, twin_v0, twin_m0)
    neurons.backpropagate(out, [gs, gv, gm])

    clif = CLIF(tau, 0.8, Sigmoid(3.0), detach_reset, return_state=True)
    outputs, gradients = differentiate(clif, [c, v0, m0], [gs, gv, gm])
    assert 0 < outputs[0].sum() < outputs[0].size
    np.testing.assert_array_equal(outputs[0], values(out[0]))
    for found, expected in zip(outputs[1:], out[1:], strict=True):
        np.testing.assert_allclose(found, values(expected), rtol=0, atol=1e-14)
    for found, twin in zip(gradients, twins, strict=True):
        np.testing.assert_allclose(found, grads(twin), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(1, 3), (6, 2, 2), (5, 1, 2, 2, 2)])
def test_clif_gradient_is_the_derivative_of_the_relaxed_forward(rng, shape):
    inputs = [rng.normal(0.8, 0.7, shape), rng.normal(0.0, 0.5, shape[1:]), rng.normal(0.0, 0.5, shape[1:])]
    clif = CLIF(surrogate=Sigmoid(2.0), return_state=True)
    check_gradients(clif, inputs, names=["c", "v0", "m0"], relaxed=True, rtol=1e-8, atol=1e-9)


@given(st.integers(1, 8), st.floats(1, 10), st.floats(0.2, 2), st.integers(0, 2**32 - 1))
def test_clif_equals_its_naive_twin(timesteps, tau, v_threshold, seed):
    c = np.random.default_rng(seed).normal(0.5, 1.0, (timesteps, 3))
    s, v, m = neurons.clif(scalars(c), neurons.sigmoid_slope(1.0), tau, v_threshold)
    spikes, membrane, complementary = CLIF(tau, v_threshold, return_state=True)(c)
    np.testing.assert_array_equal(spikes.data, values(s))
    np.testing.assert_allclose(membrane.data, values(v), rtol=0, atol=1e-13)
    np.testing.assert_allclose(complementary.data, values(m), rtol=0, atol=1e-13)


def test_two_calls_in_a_row_are_one_long_call(rng):
    c = rng.normal(0.7, 0.8, (7, 3)).astype(np.float32)
    clif = CLIF(return_state=True)
    s, v, m = clif(c)
    s1, *state = clif(c[:3])
    s2, v2, m2 = clif(c[3:], *state)
    np.testing.assert_array_equal(np.concatenate([s1.data, s2.data]), s.data)
    np.testing.assert_array_equal(v2.data, v.data)
    np.testing.assert_array_equal(m2.data, m.data)


@pytest.mark.parametrize("tau", [0.2, 0.0, -1.0, float("nan")])
def test_tau_below_one_is_refused(tau):
    with pytest.raises(ValueError, match=f"tau must be at least 1, found {tau}"):
        CLIF(tau)
