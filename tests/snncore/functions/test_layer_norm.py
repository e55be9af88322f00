"""Layer normalisation over the last axis."""

import numpy as np
import pytest

from snncore import GradientError, Tensor, check_gradients, count_ops
from snncore import functions as F

TORCH = {
    "y": [
        [-0.8723689139374008, -0.5778951311499205, 0.9806582397561805],
        [-1.0700010119739023, -0.00347843686502672, 0.9358701152032078],
    ],
    "gx": [
        [0.8813212622931258, -1.2810512704975832, 0.3997300082044557],
        [-1.1085481846028324, 1.9704588453646155, -0.8619106607617824],
    ],
    "ggamma": [0.7747368159008994, 0.18546912870993384, 3.815220691219248],
}


def test_a_row_worked_out_by_hand():
    x = np.array([[1.0, 3.0], [5.0, 5.0]])  # mean 2, variance 1; mean 5, variance 0
    y = F.LayerNorm(eps=0.0)(x[:1], np.array([2.0, 10.0]), np.array([0.5, 0.25]))
    np.testing.assert_array_equal(y.data, [[-1.5, 10.25]])
    y = F.LayerNorm(eps=1e-5)(x[1:], np.ones(2), np.array([0.5, 0.25]))
    np.testing.assert_array_equal(y.data, [[0.5, 0.25]])


def test_numbers_of_pytorch():
    """torch 2.13, float64: x = arange(6)^2 / 7 as [2, 3], eps 1e-3, gradient arange(6) - 2."""
    x = Tensor((np.arange(6.0) ** 2 / 7).reshape(2, 3), requires_grad=True)
    gamma, beta = (Tensor(np.array(v), requires_grad=True) for v in ([1.0, 2.0, 0.5], [0.1, 0.2, 0.3]))
    y = F.LayerNorm(1e-3)(x, gamma, beta)
    y.backward((np.arange(6.0) - 2).reshape(2, 3))
    np.testing.assert_allclose(y.data, TORCH["y"], rtol=1e-13)
    np.testing.assert_allclose(x.grad, TORCH["gx"], rtol=1e-12)
    np.testing.assert_allclose(gamma.grad, TORCH["ggamma"], rtol=1e-12)
    np.testing.assert_array_equal(beta.grad, [-1.0, 1.0, 3.0])


@pytest.mark.parametrize("full", [True, False])
def test_gradients(full, rng):
    inputs = [rng.standard_normal((2, 3, 4)), rng.standard_normal(4), rng.standard_normal(4)]
    check_gradients(F.LayerNorm(), inputs, full=full)


def test_a_backward_without_the_second_mean_is_caught(rng):
    class Wrong(F.LayerNorm):
        def backward(self, gy):
            _, inv_std, gamma = self.saved
            gz = gy * gamma
            _, ggamma, gbeta = super().backward(gy)
            return (gz - gz.mean(axis=-1, keepdims=True)) * inv_std, ggamma, gbeta

    with pytest.raises(GradientError, match="input 0"):
        check_gradients(Wrong(), [rng.standard_normal((3, 4)), np.ones(4), np.zeros(4)])


def test_what_does_not_fit_is_refused():
    ones = np.ones(3)
    with pytest.raises(ValueError, match=r"LayerNorm: expected gamma of shape \(4,\), found \(3,\)"):
        F.LayerNorm()(np.ones((2, 4)), ones, ones)
    with pytest.raises(TypeError, match=r"LayerNorm: expected x to be floating point, found uint8"):
        F.LayerNorm()(np.ones((2, 3), np.uint8), ones, ones)
    with pytest.raises(ValueError, match=r"LayerNorm: expected x \[\.\.\., C\], found \(2, 0\)"):
        F.LayerNorm()(np.ones((2, 0)), np.ones(0), np.ones(0))


def test_counts_by_hand():
    """5 x 2 rows of 3 entries: 11 additions, 11 multiplications, a root and a division each."""
    inputs = [np.ones((5, 2, 3)), np.ones(3), np.ones(3)]
    with count_ops(backward=True) as ops:
        F.LayerNorm()(*(Tensor(x, requires_grad=True) for x in inputs))
    assert ops.by_timestep("elem_add") == [22] * 5
    assert ops.by_sample("elem_mul") == [55] * 2
    totals = ops.totals()
    assert (totals["special"], totals["elem_div"]) == (10, 10)
    # gx: 4 products an entry, 2 scalings a row; 2 sums of 2 additions and 2 subtractions an entry; the parameters
    assert totals["back_mul"] == 10 * (4 * 3 + 2) + 30
    assert totals["back_add"] == 10 * (2 * 2 + 2 * 3) + 2 * 9 * 3
    with count_ops(backward=True) as ops:
        F.LayerNorm()(inputs[0], inputs[1], Tensor(inputs[2], requires_grad=True))
    assert (ops.totals()["back_mul"], ops.totals()["back_add"]) == (0, 27)
