"""Softmax along any axis."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.functions import Softmax
from tests.snncore.calls import differentiate


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
