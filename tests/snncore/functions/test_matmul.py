"""Matrix products."""

import numpy as np
import pytest

from snncore import Tensor, check_gradients
from snncore.functions import MatMul
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spikes_times_spikes_are_of_the_type_that_is_asked_for_and_so_are_gradients(rng, dtype):
    """Against central differences of the product of the same numbers as floats, where float32 would be 1e-7 off."""
    a, b = (rng.integers(0, 3, (2, 3, 3)).astype(np.uint8) for _ in range(2))
    gy = rng.standard_normal((2, 3, 3)).astype(dtype)
    (y,), gradients = differentiate(MatMul(dtype), [a, b], [gy])
    assert y.dtype == dtype
    wide = [a.astype(np.float64), b.astype(np.float64)]
    for k, g in enumerate(gradients):
        assert g.dtype == dtype
        numeric, eps = np.zeros(wide[k].shape), 0.5  # a product is linear in each side: any step is exact
        for i in np.ndindex(*numeric.shape):
            sides = []
            for step in (eps, -eps):
                moved = [x.copy() for x in wide]
                moved[k][i] += step
                sides.append((gy * (moved[0] @ moved[1])).sum())
            numeric[i] = (sides[0] - sides[1]) / (2 * eps)
        np.testing.assert_allclose(g, numeric, rtol=0, atol=1e-13 if dtype == np.float64 else 1e-5)
    large = np.full((1, 301), 255, np.uint8)  # 301 * 255^2 is odd and above 2^24
    assert MatMul(np.float64)(large, large.T).data.item() == 301 * 255**2


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 3)), ((3,), (3, 2)), ((2, 3), (3,))])
def test_matrices_that_do_not_fit_are_refused_and_named(a, b):
    with pytest.raises(ValueError, match=rf"MatMul: .* found \({a[0]},.*\) and \({b[0]},"):
        MatMul()(np.ones(a), np.ones(b))


@pytest.mark.parametrize("both", [True, False])
def test_spikes_are_kept_as_bytes(rng, both):
    a, b = rng.integers(0, 2, (2, 5, 64, 32)).astype(np.uint8), rng.integers(0, 2, (2, 5, 32, 64)).astype(np.uint8)
    b = b if both else b.astype(np.float32)
    y = MatMul()(Tensor(a, requires_grad=True), Tensor(b, requires_grad=True))
    assert sum(x.nbytes for x in y.node.function.saved) == a.nbytes + b.nbytes
    gy = rng.standard_normal(y.shape).astype(np.float32)
    _, (ga, gb) = differentiate(MatMul(), [a, b], [gy])
    np.testing.assert_allclose(ga, np.einsum("...ik,...jk->...ij", gy, b), rtol=0, atol=1e-5)
    np.testing.assert_allclose(gb, np.einsum("...ki,...kj->...ij", a, gy), rtol=0, atol=1e-5)
    assert ga.dtype == gb.dtype == np.float32


def test_gradients_that_nobody_wants_are_not_computed(rng):
    a, b = rng.standard_normal((3, 4)), Tensor(rng.standard_normal((4, 2)), requires_grad=True)
    y = MatMul()(a, b)
    ga, gb = y.node.function.backward(np.ones((3, 2)))
    assert ga is None
    np.testing.assert_allclose(gb, a.sum(axis=0)[:, None].repeat(2, axis=1), rtol=0, atol=1e-13)


@pytest.mark.parametrize("spikes", [True, False])
def test_one_matrix_for_all_gets_the_sum_of_its_gradients(rng, spikes):
    a = rng.integers(0, 3, (2, 3, 5, 4)).astype(np.uint8 if spikes else np.float64)
    b, gy = rng.standard_normal((4, 2)), rng.standard_normal((2, 3, 5, 2))
    (y,), (_, gb) = differentiate(MatMul(), [a, b], [gy])
    np.testing.assert_allclose(y, np.einsum("tnik,kj->tnij", a, b), rtol=0, atol=1e-13)
    np.testing.assert_allclose(gb, np.einsum("tnik,tnij->kj", a, gy), rtol=0, atol=1e-13)
