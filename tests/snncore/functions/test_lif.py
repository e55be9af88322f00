"""LIF: traces by hand, gradients with real spikes against the scalar tape, relaxed ones by finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore import Tensor, check_gradients, relaxed
from snncore.functions import LIF
from snncore.surrogate import ATan, Erf, FastSigmoid, Sigmoid
from tests.reference import neurons
from tests.reference.scalar_tape import grads, scalars, values
from tests.snncore.calls import differentiate, like

CURRENTS = np.array([1.5, 0.6, 0.8, 0.2])

# decay 0.5, threshold 1, worked out by hand as h[t] -> v[t]:
TRACES = {
    # 1.5 -> 0.5 | 0.25 + 0.6 = 0.85 | 0.425 + 0.8 = 1.225 -> 0.225 | 0.1125 + 0.2 = 0.3125
    "soft": (0.5, None, [1, 0, 1, 0], [0.5, 0.85, 0.225, 0.3125]),
    # 1.5 -> 0 | 0.6 | 0.3 + 0.8 = 1.1 -> 0 | 0.2
    "hard": (0.5, 0.0, [1, 0, 1, 0], [0.0, 0.6, 0.0, 0.2]),
    # 1.5 -> -0.5 | -0.25 + 0.6 = 0.35 | 0.175 + 0.8 = 0.975 | 0.4875 + 0.2 = 0.6875
    "hard, below rest": (0.5, -0.5, [1, 0, 0, 0], [-0.5, 0.35, 0.975, 0.6875]),
    # decay 1: 1.5 -> 0.5 | 1.1 -> 0.1 | 0.9 | 1.1 -> 0.1
    "integrate and fire": (1.0, None, [1, 1, 0, 1], [0.5, 0.1, 0.9, 0.1]),
    # decay 0: 1.5 -> 0.5 | 0.6 | 0.8 | 0.2
    "no memory": (0.0, None, [1, 0, 0, 0], [0.5, 0.6, 0.8, 0.2]),
}


@pytest.mark.parametrize("name", TRACES)
def test_lif_gives_the_trace_worked_out_by_hand(name):
    decay, v_reset, spikes, membranes = TRACES[name]
    lif = LIF(decay, 1.0, v_reset, return_state=True)
    c = CURRENTS.reshape(4, 1)
    for t in range(1, 5):
        s, v = lif(c[:t])
        assert s.data.ravel().tolist() == spikes[:t]
        np.testing.assert_allclose(v.data, [membranes[t - 1]], rtol=0, atol=1e-15)


def test_a_membrane_exactly_at_the_threshold_fires():
    assert LIF(0.5, 1.0)(np.array([[1.0, np.nextafter(1.0, 0), np.nextafter(1.0, 2)]])).data.tolist() == [[1, 0, 1]]


def test_lif_goes_on_from_the_membrane_it_is_given():
    s, v = LIF(0.5, 1.0, return_state=True)(np.array([[0.6, 0.6]]), np.array([1.0, 0.5]))
    assert s.data.tolist() == [[1, 0]]  # 0.5 + 0.6 = 1.1 -> 0.1 | 0.25 + 0.6 = 0.85
    np.testing.assert_allclose(v.data, [0.1, 0.85], rtol=0, atol=1e-15)


def test_lif_takes_currents_of_a_single_neuron(rng):
    c = rng.normal(0.5, 0.7, 6)
    gs = rng.standard_normal(6)
    (s,), (gc,) = differentiate(LIF(), [c], [gs])
    (expected_s,), (expected,) = differentiate(LIF(), [c.reshape(6, 1)], [gs.reshape(6, 1)])
    np.testing.assert_array_equal(s, expected_s.ravel())
    np.testing.assert_array_equal(gc, expected.ravel())


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("v_reset", [None, 0.0, -0.3])
@pytest.mark.parametrize("decay", [0.5, 1.0])
@pytest.mark.parametrize("surrogate", ["sigmoid", "atan"])
def test_gradients_with_real_spikes_are_those_of_the_scalar_tape(rng, decay, v_reset, detach_reset, surrogate):
    c, v0 = rng.normal(0.6, 0.8, (6, 2, 3)), rng.normal(0.0, 0.5, (2, 3))
    gs, gv = like(rng, c, v0)
    engine, slope = {
        "sigmoid": (Sigmoid(3.0), neurons.sigmoid_slope(3.0)),
        "atan": (ATan(1.7), neurons.arctan_slope(1.7)),
    }[surrogate]

    twin_c, twin_v0 = scalars(c), scalars(v0)
    s, v = neurons.lif(twin_c, slope, decay, 0.8, v_reset, detach_reset, twin_v0)
    neurons.backpropagate([s, v], [gs, gv])

    lif = LIF(decay, 0.8, v_reset, engine, detach_reset, return_state=True)
    (spikes, membrane), (gc, gv0) = differentiate(lif, [c, v0], [gs, gv])
    assert 0 < spikes.sum() < spikes.size
    np.testing.assert_array_equal(spikes, values(s))
    np.testing.assert_allclose(membrane, values(v), rtol=0, atol=1e-14)
    np.testing.assert_allclose(gc, grads(twin_c), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gv0, grads(twin_v0), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(1, 3), (5, 1, 2, 2, 2), (7, 2, 2)])
@pytest.mark.parametrize("v_reset", [None, 0.0, -0.3])
def test_lif_gradient_is_the_derivative_of_the_relaxed_forward(rng, shape, v_reset):
    c, v0 = rng.normal(0.8, 0.7, shape), rng.normal(0.0, 0.5, shape[1:])
    lif = LIF(0.5, 1.0, v_reset, Sigmoid(2.0), return_state=True)
    check_gradients(lif, [c, v0], names=["c", "v0"], relaxed=True, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("surrogate", [Sigmoid(4.0), ATan(), FastSigmoid(), Erf()])
def test_every_smooth_surrogate_passes_the_relaxed_check(rng, surrogate):
    c = rng.normal(0.8, 0.7, (5, 4))
    assert check_gradients(LIF(0.5, surrogate=surrogate), [c], relaxed=True, rtol=1e-7) < 1e-7


def test_far_below_the_threshold_gradients_pass_through_the_leak_alone():
    # The surrogate is zero there: c[t] reaches v[T] as 0.5^(T - t), and no spike at all.
    c = np.full((3, 1), -1e3)
    _, (gc,) = differentiate(LIF(0.5, return_state=True), [c], [np.ones((3, 1)), np.ones(1)])
    np.testing.assert_allclose(gc.ravel(), [0.25, 0.5, 1.0], rtol=1e-15)


@given(
    st.integers(1, 8),
    st.floats(0, 1),
    st.floats(0.2, 2),
    st.sampled_from([None, 0.0, -0.5]),
    st.integers(0, 2**32 - 1),
)
def test_lif_equals_its_naive_twin(timesteps, decay, v_threshold, v_reset, seed):
    c = np.random.default_rng(seed).normal(0.5, 1.0, (timesteps, 3))
    s, v = neurons.lif(scalars(c), neurons.sigmoid_slope(1.0), decay, v_threshold, v_reset)
    spikes, membrane = LIF(decay, v_threshold, v_reset, return_state=True)(c)
    np.testing.assert_array_equal(spikes.data, values(s))
    np.testing.assert_allclose(membrane.data, values(v), rtol=0, atol=1e-13)


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_two_calls_in_a_row_are_one_long_call(first, second, decay, seed):
    c = np.random.default_rng(seed).normal(0.5, 1.0, (first + second, 4)).astype(np.float32)
    lif = LIF(decay, return_state=True)
    s, v = lif(c)
    s1, v1 = lif(c[:first])
    s2, v2 = lif(c[first:], v1)
    np.testing.assert_array_equal(np.concatenate([s1.data, s2.data]), s.data)
    np.testing.assert_array_equal(v2.data, v.data)


@given(st.integers(1, 20), st.floats(0.1, 3), st.integers(0, 2**32 - 1))
def test_without_a_leak_all_charge_is_in_the_membrane_or_in_spikes(timesteps, v_threshold, seed):
    c = np.random.default_rng(seed).normal(0.5, 1.0, (timesteps, 4))
    s, v = LIF(1.0, v_threshold, return_state=True)(c)
    np.testing.assert_allclose(v.data + v_threshold * s.data.sum(axis=0), c.sum(axis=0), rtol=0, atol=1e-12)


def test_a_membrane_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"v0 of shape \(3,\), found \(2,\)"):
        LIF()(np.zeros((4, 3)), np.zeros(2))
    with pytest.raises(ValueError, match=r"\(1,\)"):  # would be broadcast over the three neurons
        LIF()(np.zeros((4, 3)), np.zeros(1))


def test_relaxed_lif_emits_the_primitive_of_its_surrogate(rng):
    c = rng.normal(0.5, 1.0, (1, 5)).astype(np.float32)
    with relaxed():
        s = LIF(surrogate=Sigmoid(4.0))(c).data
    assert s.dtype == np.float32
    np.testing.assert_allclose(s, 1 / (1 + np.exp(-4 * (c - 1))), rtol=1e-6)
    assert LIF()(Tensor(c)).dtype == np.uint8
