"""Fully connected layer."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.functions import Linear
from tests.snncore.calls import differentiate


def test_linear_worked_out_by_hand():
    x, w, b = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 5.0]]), np.array([0.5, 0.0, 1.0])
    (y,), (gx, gw, gb) = differentiate(Linear(), [x, w, b], [np.array([[1.0, 10.0, 100.0]])])
    assert y.tolist() == [[7.5, 8.0, 13.0]]
    assert gx.tolist() == [[201.0, 543.0]]
    assert gw.tolist() == [[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]]
    assert gb.tolist() == [1.0, 10.0, 100.0]


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (0,)])
def test_linear_equals_sums_of_products(rng, lead):
    x, w, b = rng.standard_normal((*lead, 4)), rng.standard_normal((4, 2)), rng.standard_normal(2)
    gy = rng.standard_normal((*lead, 2))
    (y,), (gx, gw, gb) = differentiate(Linear(), [x, w, b], [gy])
    np.testing.assert_allclose(y, np.einsum("...i,io->...o", x, w) + b, rtol=0, atol=1e-13)
    np.testing.assert_allclose(gx, np.einsum("...o,io->...i", gy, w), rtol=0, atol=1e-13)
    flat_x, flat_gy = x.reshape(-1, 4), gy.reshape(-1, 2)
    np.testing.assert_allclose(gw, np.einsum("mi,mo->io", flat_x, flat_gy), rtol=0, atol=1e-13)
    np.testing.assert_allclose(gb, flat_gy.sum(axis=0), rtol=0, atol=1e-13)


@pytest.mark.parametrize("lead", [(3,), (2, 3)])
def test_linear_gradient_is_the_derivative(rng, lead):
    inputs = [rng.standard_normal((*lead, 4)), rng.standard_normal((4, 2)), rng.standard_normal(2)]
    check_gradients(Linear(), inputs, names=["x", "w", "b"], rtol=1e-8, atol=1e-9)
    check_gradients(Linear(), inputs[:2], names=["x", "w"], rtol=1e-8, atol=1e-9)


def test_spikes_as_bytes_are_counted_not_wrapped(rng):
    x = np.full((1, 300), 2, np.uint8)  # a sum of 600 does not fit a byte
    assert Linear()(x, np.ones((300, 1), np.float32)).data.item() == 600


def test_gradients_of_inputs_that_want_none_are_not_computed(rng):
    from snncore import Tensor

    x, w = Tensor(rng.standard_normal((3, 4))), Tensor(rng.standard_normal((4, 2)), requires_grad=True)
    Linear()(x, w).sum().backward()
    assert x.grad is None
    np.testing.assert_allclose(w.grad, x.data.sum(axis=0)[:, None].repeat(2, axis=1), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("x", "w"), [((2, 3), (4, 5)), ((3,), (4, 5)), ((2, 4), (4,)), ((2, 4), (1, 4, 5))])
def test_shapes_that_do_not_fit_are_refused_and_named(x, w):
    with pytest.raises(ValueError, match=rf"Linear: .* found \({x[0]},.*\), \({w[0]},"):
        Linear()(np.ones(x), np.ones(w))


def test_a_bias_of_another_length_is_refused_and_named():
    with pytest.raises(ValueError, match=r"\(3,\)"):
        Linear()(np.ones((2, 4)), np.ones((4, 5)), np.ones(3))
    with pytest.raises(ValueError, match=r"\(1,\)"):  # would be broadcast over the five outputs
        Linear()(np.ones((2, 4)), np.ones((4, 5)), np.ones(1))
