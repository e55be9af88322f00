"""MLIF with concat fusion: a trace by hand, gradients with real spikes against the scalar tape, relaxed ones."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.firing import Firing
from snncore.functions import MLIF, mlif
from snncore.opcount.events import Events
from snncore.surrogate import Sigmoid
from tests.reference import neurons
from tests.reference.scalar_tape import Scalar, grads, scalars, values
from tests.snncore.calls import differentiate, like


def test_mlif_gives_the_trace_worked_out_by_hand():
    # decay 0.5, V_t 1, alpha_a 0.5, alpha_v 0.8, w_a 1.5, w_v 1; u = decay * u + o * w, fires at alpha * u >= 1:
    # audio:  o 1, 1, 1: 1.5 (0.75) | 2.25 (1.125 fires) -> 1.25 | 0.625 + 1.5 = 2.125 (1.0625 fires) -> 1.125
    # vision: o 1, 1, 2: 1 (0.8)    | 1.5 (1.2 fires) -> 0.5     | 0.25 + 2 = 2.25 (1.8 fires) -> 1.25
    o_a, o_v = np.array([[1], [1], [1]], np.uint8), np.array([[1], [1], [2]], np.uint8)
    inputs = (o_a, o_v, np.array(0.5), np.array(0.8), np.array([1.5]))
    s_a, s_v, u_a, u_v = MLIF(return_state=True)(*inputs)
    assert s_a.data.ravel().tolist() == [0, 1, 1]
    assert s_v.data.ravel().tolist() == [0, 1, 1]
    np.testing.assert_allclose([u_a.data.item(), u_v.data.item()], [1.125, 1.25], rtol=0, atol=1e-15)


def test_hard_reset_of_mlif_worked_out_by_hand():
    # alpha 0.5, reset to -0.5: 2.5 (1.25 fires) -> -0.5 | -0.25 + 2.5 = 2.25 (1.125 fires) -> -0.5 | -0.25 + 1 = 0.75
    o = np.array([[2.5], [2.5], [1.0]])
    s_a, _, u_a, _ = MLIF(v_reset=-0.5, return_state=True)(o, o, np.array(0.5), np.array(0.5))
    assert s_a.data.ravel().tolist() == [1, 1, 0]
    np.testing.assert_allclose(u_a.data, [0.75], rtol=0, atol=1e-15)


def problem(rng, weights, shape=(6, 2, 2, 3, 2)):
    """Inputs of MLIF: currents of `shape` [T, N, H, W, C], weights per pixel, per channel or none, and membranes."""
    o = [rng.integers(0, 3, shape).astype(np.float64) for _ in "av"]
    alpha = [np.array(0.6), np.array(0.9)]
    w_shape = {"none": None, "pixel": (*shape[2:4], 1), "channel": shape[4:]}[weights]
    w = [None if w_shape is None else rng.uniform(0.5, 1.5, w_shape) for _ in "av"]
    u = [rng.normal(0.0, 0.5, shape[1:]) for _ in "av"]
    return [*o, *alpha, *w, *u]


@pytest.mark.parametrize("weights", ["none", "pixel", "channel"])
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("v_reset", [None, -0.3])
def test_gradients_with_real_spikes_are_those_of_the_scalar_tape(rng, v_reset, detach_reset, weights):
    inputs = problem(rng, weights)
    gys = like(rng, inputs[0], inputs[1], inputs[6], inputs[7])
    twins = [None if x is None else scalars(x) if x.ndim else Scalar(x) for x in inputs]
    one = scalars(np.ones(1))
    s, u = neurons.mlif(
        {"a": twins[0], "v": twins[1]},
        {"a": twins[2], "v": twins[3]},
        {"a": one if twins[4] is None else twins[4], "v": one if twins[5] is None else twins[5]},
        neurons.sigmoid_slope(3.0),
        decay=0.5,
        v_threshold=1.1,
        v_reset=v_reset,
        detach_reset=detach_reset,
        u={"a": twins[6], "v": twins[7]},
    )
    neurons.backpropagate([s["a"], s["v"], u["a"], u["v"]], gys)

    mlif = MLIF(0.5, 1.1, v_reset, Sigmoid(3.0), detach_reset, return_state=True)
    outputs, gradients = differentiate(mlif, inputs, gys)
    for found, m in zip(outputs[:2], "av", strict=True):
        assert 0 < found.sum() < found.size
        np.testing.assert_array_equal(found, values(s[m]))
    for found, m in zip(outputs[2:], "av", strict=True):
        np.testing.assert_allclose(found, values(u[m]), rtol=0, atol=1e-14)
    for found, twin in zip(gradients, twins, strict=True):
        if twin is not None:
            np.testing.assert_allclose(found, grads(twin), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weights", ["none", "pixel", "channel"])
@pytest.mark.parametrize("v_reset", [None, -0.3])
def test_mlif_gradient_is_the_derivative_of_the_relaxed_forward(rng, v_reset, weights):
    names = ["o_a", "o_v", "alpha_a", "alpha_v", "w_a", "w_v", "u_a", "u_v"]
    mlif = MLIF(v_reset=v_reset, surrogate=Sigmoid(2.0), return_state=True)
    check_gradients(mlif, problem(rng, weights, (4, 1, 2, 1, 2)), names=names, relaxed=True, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("weights", ["none", "pixel", "channel"])
def test_spikes_as_bytes_give_what_spikes_as_floats_give(rng, weights):
    inputs = [None if x is None else x.astype(np.float32) for x in problem(rng, weights)]
    as_bytes = [x.astype(np.uint8) for x in inputs[:2]] + inputs[2:]
    gys = [g.astype(np.float32) for g in like(rng, inputs[0], inputs[1])]
    outputs, gradients = differentiate(MLIF(), inputs, gys)
    byte_outputs, byte_gradients = differentiate(MLIF(), as_bytes, gys)
    for found, expected in zip(byte_outputs + byte_gradients, outputs + gradients, strict=True):
        if expected is not None:
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype


@pytest.mark.parametrize("shape", [(), (1,)])
def test_alpha_may_be_an_array_of_any_shape_with_one_entry(rng, shape):
    o_a, o_v = rng.normal(1.0, 1.0, (2, 5, 3))
    gys = like(rng, o_a, o_v)
    alphas = [np.full(shape, 0.6), np.full(shape, 0.9)]
    outputs, gradients = differentiate(MLIF(), [o_a, o_v, *alphas], gys)
    expected_outputs, expected = differentiate(MLIF(), [o_a, o_v, np.array(0.6), np.array(0.9)], gys)
    for found, right in zip(outputs + gradients, expected_outputs + expected, strict=True):
        np.testing.assert_array_equal(np.ravel(found), np.ravel(right))
    assert gradients[2].shape == shape


def test_each_modality_may_have_its_own_shape(rng):
    o_a, o_v = rng.normal(1.0, 1.0, (4, 2, 3)), rng.normal(1.0, 1.0, (4, 5))
    s_a, s_v = MLIF()(o_a, o_v, np.array(0.6), np.array(0.9))
    swapped_v, swapped_a = MLIF()(o_v, o_a, np.array(0.9), np.array(0.6))
    np.testing.assert_array_equal(s_a.data, swapped_a.data)
    np.testing.assert_array_equal(s_v.data, swapped_v.data)
    assert (s_a.shape, s_v.shape) == ((4, 2, 3), (4, 5))


@pytest.mark.parametrize("name", ["u_a", "u_v"])
def test_a_membrane_of_another_shape_is_refused_for_either_modality(rng, name):
    o_a, o_v = rng.normal(1.0, 1.0, (2, 4, 2, 3))
    u = {"u_a": np.zeros((2, 3)), "u_v": np.zeros((2, 3)), name: np.zeros((1, 3))}  # which would be broadcast
    with pytest.raises(ValueError, match=rf"MLIF: expected {name} of shape \(2, 3\), found \(1, 3\)"):
        MLIF()(o_a, o_v, np.array(0.6), np.array(0.9), None, None, u["u_a"], u["u_v"])


@pytest.mark.parametrize(
    ("place", "x", "error", "message"),
    [
        (0, np.zeros((0, 2, 3), np.uint8), ValueError, r"o_a \[T, ...\] with at least one timestep, found \(0, 2, 3\)"),
        (2, np.ones(2), ValueError, r"alpha_a of one entry, found shape \(2,\)"),
        (3, np.array(1), TypeError, "alpha_v to be floating point, found int64"),
        (4, np.ones(5), ValueError, r"w_a that broadcasts to \(2, 3\), found \(5,\)"),
        (5, np.ones((1, 2, 3)), ValueError, r"w_v that broadcasts to \(2, 3\), found \(1, 2, 3\)"),
        (5, np.ones(3, int), TypeError, "w_v to be floating point, found int64"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(rng, place, x, error, message):
    inputs = [*rng.normal(1.0, 1.0, (2, 4, 2, 3)), np.array(0.6), np.array(0.9), np.ones(3), np.ones((2, 1))]
    assert MLIF()(*inputs)[0].shape == (4, 2, 3)
    inputs[place] = x
    with pytest.raises(error, match=f"MLIF: expected {message}"):
        MLIF()(*inputs)


def test_bytes_of_weights_beyond_64_bits_are_counted_right(monkeypatch):
    """A product above 2^63 is a Python integer, not a number that wrapped."""
    seen = Events(np.full((1, 1), 2**61), np.zeros((1, 1), np.int64), 0, (2**61, 0, 0))
    monkeypatch.setattr(mlif, "as_events", lambda counts, lead: seen)
    o, w = np.ones((1, 1, 2), np.uint8), np.ones(2)
    cost = mlif.mlif_cost(o, o, np.array(0.5), w, True, Firing())
    assert cost.totals()["weight_bytes"] == 2**64
