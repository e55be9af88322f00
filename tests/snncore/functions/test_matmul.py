"""Matrix products and softmax."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.functions import MatMul, Softmax
from tests.snncore.calls import differentiate

SHAPES = [((2, 3), (3, 4)), ((5, 2, 3), (3, 2)), ((2, 1, 2, 3), (3, 3, 2)), ((1, 1), (2, 1, 1))]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_matmul_equals_sums_of_products_and_its_gradient_is_the_derivative(rng, a, b):
    a, b = rng.standard_normal(a), rng.standard_normal(b)
    np.testing.assert_allclose(MatMul()(a, b).data, np.einsum("...ij,...jk->...ik", a, b), rtol=0, atol=1e-14)
    check_gradients(MatMul(), [a, b], names=["a", "b"], rtol=1e-8, atol=1e-9)


def test_matmul_of_spikes_and_weights_counts_and_does_not_wrap():
    spikes, w = np.ones((1, 300), np.uint8), np.ones((300, 1), np.float32)
    assert MatMul()(spikes, w).data.item() == 300
    assert MatMul()(w.T, spikes.T).data.item() == 300


def test_matmul_of_spikes_and_spikes_counts_and_does_not_wrap():
    spikes = np.ones((1, 300), np.uint8)
    assert MatMul()(spikes, spikes.T).data.item() == 300


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 3)), ((3,), (3, 2)), ((2, 3), (3,))])
def test_matrices_that_do_not_fit_are_refused_and_named(a, b):
    with pytest.raises(ValueError, match=rf"MatMul: .* found \({a[0]},.*\) and \({b[0]},"):
        MatMul()(np.ones(a), np.ones(b))


def test_softmax_worked_out_by_hand():
    x = np.log(np.array([1.0, 2.0, 5.0]))
    (y,), (gx,) = differentiate(Softmax(), [x], [np.array([8.0, 0.0, 0.0])])
    np.testing.assert_allclose(y, [1 / 8, 2 / 8, 5 / 8], rtol=1e-15)
    np.testing.assert_allclose(gx, [7 / 8, -2 / 8, -5 / 8], rtol=1e-14)  # y (gy - <gy, y>), <gy, y> = 1


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_softmax_gradient_is_the_derivative_along_any_axis(rng, axis):
    x = rng.standard_normal((3, 2, 4))
    np.testing.assert_allclose(Softmax(axis)(x).data.sum(axis=axis), 1.0, rtol=1e-14)
    check_gradients(Softmax(axis), [x], rtol=1e-8, atol=1e-9)


def test_softmax_of_huge_entries_does_not_overflow():
    assert Softmax()(np.array([1e30, 0.0, -1e30], np.float32)).data.tolist() == [1.0, 0.0, 0.0]


def test_softmax_of_spikes_is_float32():
    y = Softmax()(np.array([0, 1], np.uint8)).data
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, 1 / (1 + np.exp([1.0, -1.0])), rtol=1e-6)
