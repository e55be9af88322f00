"""The step with a surrogate gradient."""

import numpy as np
import pytest

from snncore import Tensor, check_gradients, count_ops, relaxed
from snncore.energy import apply_rule
from snncore.functions import LIF, Fire
from snncore.surrogate import ATan, Sigmoid
from tests.snncore.calls import differentiate


def test_fire_is_one_from_zero_on_as_bytes():
    s = Fire()(np.array([-1.0, -1e-300, 0.0, 1e-300, 5.0])).data
    assert s.dtype == np.uint8
    assert s.tolist() == [0, 0, 1, 1, 1]


def test_gradient_is_the_surrogate_times_what_comes_back():
    x, gs = np.array([-1.0, 0.0, 2.0]), np.array([1.0, 2.0, -3.0])
    _, (gx,) = differentiate(Fire(Sigmoid(4.0)), [x], [gs])
    p = 1 / (1 + np.exp(-4 * x))
    np.testing.assert_allclose(gx, gs * 4 * p * (1 - p), rtol=1e-12)


@pytest.mark.parametrize("surrogate", [Sigmoid(2.0), ATan()])
def test_fire_gradient_is_the_derivative_of_the_relaxed_forward(rng, surrogate):
    check_gradients(Fire(surrogate), [rng.standard_normal((3, 4))], relaxed=True, rtol=1e-8, atol=1e-9)


def test_a_lif_built_from_small_operations_is_the_lif(rng):
    currents = rng.normal(0.6, 0.8, (5, 3))
    gs = rng.standard_normal((5, 3))
    _, (expected,) = differentiate(LIF(0.5), [currents], [gs])

    c = Tensor(currents, requires_grad=True)
    v, loss = None, 0.0
    for t in range(5):
        h = c[t] if v is None else v * 0.5 + c[t]
        s = Fire()(h - 1.0)
        v = h - s * Tensor(np.ones(3))
        loss = (s * Tensor(gs[t])).sum() + loss
    loss.backward()
    np.testing.assert_allclose(c.grad, expected, rtol=1e-12, atol=1e-14)


def test_fire_takes_a_single_number():
    x = Tensor(np.array(0.5), requires_grad=True)
    s = Fire(Sigmoid(4.0))(x)
    assert s.data.item() == 1
    s.backward(np.array(1.0))
    p = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(x.grad, 4 * p * (1 - p), rtol=1e-14)


def test_relaxed_mode_ends_with_its_block():
    x = np.zeros(1)
    with relaxed():
        assert Fire()(x).data.tolist() == [0.5]
    assert Fire()(x).data.tolist() == [1]


@pytest.mark.parametrize("shape", [(2, 3, 4), (5,)])
def test_rules_are_told_of_its_spikes_as_of_those_of_a_lif(rng, shape):
    currents = rng.normal(0.0, 1.0, shape).astype(np.float32)
    with count_ops() as ops:
        s = Fire()(currents)
        LIF(0.0, 1.0)(currents + 1)
    fired, lif = (call.cost.facts[0] for call in ops.calls)
    assert 0 < fired.events == int(s.data.sum())
    assert (fired.in_size, fired.out_size, fired.kind, fired.leak) == (s.data.size, s.data.size, "neuron", False)
    assert (lif.events, lif.cells if len(shape) > 2 else 1) == (fired.events, fired.cells)


def test_lemaires_rule_counts_its_resets(rng):
    with count_ops() as fire:
        Fire()(rng.standard_normal((2, 3, 40)).astype(np.float32))
    with count_ops() as silent:
        Fire()(np.full((2, 3, 40), -1, np.float32))
    assert apply_rule("lemaire", fire).energy_mj > apply_rule("lemaire", silent).energy_mj
