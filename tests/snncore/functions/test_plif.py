"""PLIF: a LIF whose decay is 1 - sigmoid(w), with the gradient of w."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.functions import LIF, PLIF
from snncore.surrogate import Sigmoid
from tests.reference import neurons
from tests.reference.scalar_tape import Scalar, grads, scalars, values
from tests.snncore.calls import differentiate, like


def test_w_zero_halves_the_membrane_at_each_step():
    # 1 / tau = sigmoid(0) = 0.5: 0.8 | 0.4 + 0.4 = 0.8 | 0.4 + 0.8 = 1.2 -> 0.2
    s, v = PLIF(return_state=True)(np.array([[0.8], [0.4], [0.8]]), np.array(0.0))
    assert s.data.ravel().tolist() == [0, 0, 1]
    np.testing.assert_allclose(v.data, [0.2], rtol=0, atol=1e-15)


def test_gradient_of_w_worked_out_by_hand():
    # Far below the threshold v[2] = decay * c[1] + c[2], d decay / dw = -sigmoid(w) (1 - sigmoid(w)) = -3/16 at tau 4.
    w = np.array(-np.log(3.0))  # sigmoid(w) = 1/4
    c = np.array([[-100.0], [-200.0]])
    (_, v), (gc, gw) = differentiate(PLIF(return_state=True), [c, w], [None, np.ones(1)])
    np.testing.assert_allclose(v, [0.75 * -100 - 200], rtol=1e-15)
    np.testing.assert_allclose(gw, -100 * -3 / 16, rtol=1e-14)
    np.testing.assert_allclose(gc.ravel(), [0.75, 1.0], rtol=1e-15)


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("v_reset", [None, 0.0, -0.3])
def test_gradients_with_real_spikes_are_those_of_the_scalar_tape(rng, v_reset, detach_reset):
    c, v0, w = rng.normal(0.6, 0.8, (6, 2, 3)), rng.normal(0.0, 0.5, (2, 3)), np.array(-0.4)
    gs, gv = like(rng, c, v0)
    twin_c, twin_v0, twin_w = scalars(c), scalars(v0), Scalar(w)
    settings = {"v_threshold": 0.8, "v_reset": v_reset, "detach_reset": detach_reset, "v0": twin_v0}
    s, v = neurons.plif(twin_c, twin_w, neurons.sigmoid_slope(3.0), **settings)
    neurons.backpropagate([s, v], [gs, gv])

    plif = PLIF(0.0, 0.8, v_reset, Sigmoid(3.0), detach_reset, return_state=True)
    (spikes, membrane), (gc, gw, gv0) = differentiate(plif, [c, w, v0], [gs, gv])
    assert 0 < spikes.sum() < spikes.size
    np.testing.assert_array_equal(spikes, values(s))
    np.testing.assert_allclose(membrane, values(v), rtol=0, atol=1e-14)
    np.testing.assert_allclose(gc, grads(twin_c), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gv0, grads(twin_v0), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gw, twin_w.grad, rtol=1e-12)


@pytest.mark.parametrize("v_reset", [None, 0.0])
@pytest.mark.parametrize("shape", [(1, 3), (5, 2, 2, 2, 1)])
def test_plif_gradient_is_the_derivative_of_the_relaxed_forward(rng, shape, v_reset):
    inputs = [rng.normal(0.8, 0.7, shape), np.array(0.3), rng.normal(0.0, 0.5, shape[1:])]
    plif = PLIF(v_reset=v_reset, surrogate=Sigmoid(2.0), return_state=True)
    check_gradients(plif, inputs, names=["c", "w", "v0"], relaxed=True, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_w_may_be_an_array_of_any_shape_with_one_entry(rng, shape):
    c = rng.normal(0.6, 0.8, (5, 3))
    (s,), (gc, gw) = differentiate(PLIF(), [c, np.full(shape, 0.2)], [np.ones((5, 3))])
    (expected,), (expected_gc, expected_gw) = differentiate(PLIF(), [c, np.array(0.2)], [np.ones((5, 3))])
    np.testing.assert_array_equal(s, expected)
    np.testing.assert_array_equal(gc, expected_gc)
    assert gw.shape == shape
    assert gw.item() == expected_gw.item()


@pytest.mark.parametrize(("w", "error"), [(np.zeros(2), ValueError), (np.array(0), TypeError)])
def test_another_w_is_refused_and_named(w, error):
    with pytest.raises(error, match="PLIF: expected w "):
        PLIF()(np.ones((2, 3)), w)


def test_plif_at_tau_2_is_a_lif_with_decay_one_half(rng):
    c = rng.normal(0.6, 0.8, (6, 4)).astype(np.float32)
    np.testing.assert_array_equal(PLIF()(c, np.zeros((), np.float32)).data, LIF(0.5)(c).data)
