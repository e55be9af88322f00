"""Sums and means."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.functions import Mean, Sum
from tests.snncore.calls import differentiate

AXES = [None, 0, -1, (0, 2), (-1, 0), (0, 1, 2)]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
def test_sums_and_means_equal_numpy_and_their_gradients_are_the_derivatives(rng, axis, keepdims):
    x = rng.standard_normal((2, 3, 4))
    np.testing.assert_allclose(Sum(axis, keepdims)(x).data, x.sum(axis=axis, keepdims=keepdims), rtol=0, atol=1e-14)
    np.testing.assert_allclose(Mean(axis, keepdims)(x).data, x.mean(axis=axis, keepdims=keepdims), rtol=0, atol=1e-14)
    check_gradients(Sum(axis, keepdims), [x], rtol=1e-8, atol=1e-9)
    check_gradients(Mean(axis, keepdims), [x], rtol=1e-8, atol=1e-9)


def test_gradients_worked_out_by_hand():
    x, gy = np.ones((2, 3)), np.array([6.0, 12.0])
    _, (gx,) = differentiate(Sum(1), [x], [gy])
    assert gx.tolist() == [[6.0] * 3, [12.0] * 3]
    _, (gx,) = differentiate(Mean(1), [x], [gy])
    assert gx.tolist() == [[2.0] * 3, [4.0] * 3]


def test_spikes_are_summed_as_float32_and_do_not_wrap():
    s = np.full((300, 2), 2, np.uint8)
    for function, expected in ((Sum(0), 600), (Mean(0), 2)):
        y = function(s).data
        assert y.dtype == np.float32
        assert y.tolist() == [expected] * 2


def test_spikes_are_summed_in_float64_where_that_is_asked_for(rng):
    s, gy = rng.integers(0, 3, (7, 2)).astype(np.uint8), rng.standard_normal(2)
    for kind, numpy in ((Sum, np.sum), (Mean, np.mean)):
        (y,), (gx,) = differentiate(kind(0, dtype=np.float64), [s], [gy])
        assert y.dtype == gx.dtype == np.float64
        np.testing.assert_array_equal(y, numpy(s, axis=0, dtype=np.float64))
        eps, wide = 0.5, s.astype(np.float64)
        for i in np.ndindex(7, 2):  # linear: a central difference of any step is exact
            step = np.zeros_like(wide)
            step[i] = eps
            slope = (gy * (numpy(wide + step, axis=0) - numpy(wide - step, axis=0))).sum() / (2 * eps)
            assert gx[i] == pytest.approx(slope, abs=1e-14)


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"expected axes of an array of shape \(2, 3\), each once, found 2"):
        Sum(2)(np.ones((2, 3)))
