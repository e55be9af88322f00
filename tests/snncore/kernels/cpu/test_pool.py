"""Max pooling to the bit, on spikes and floats, windows apart or overlapping."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.kernels import cpu, reference

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@given(st.tuples(st.integers(1, 3), st.integers(3, 7), st.integers(3, 7), st.integers(1, 20)), PAIRS, PAIRS)
def test_pooling_is_the_reference(dtype, shape, kernel, stride):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, shape).astype(dtype)  # with many equal entries
    y = cpu.max_pool_forward(x, kernel, stride)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, reference.max_pool_forward(x, kernel, stride))
    gy = rng.integers(-8, 9, y.shape).astype(np.float32)  # integers: sums are exact in any order
    found = cpu.max_pool_backward(gy, x, y, kernel, stride)
    np.testing.assert_array_equal(found, reference.max_pool_backward(gy, x, y, kernel, stride))


@given(st.integers(0, 2**16), PAIRS, PAIRS, st.integers(1, 20))
def test_nan_and_infinities_travel_as_in_the_reference(seed, kernel, stride, channels):
    rng = np.random.default_rng(seed)
    x = rng.choice(
        np.array([np.nan, np.inf, -np.inf, 0, 1], np.float32), (2, 5, 4, channels), p=[0.1, 0.1, 0.1, 0.4, 0.3]
    )
    y = cpu.max_pool_forward(x, kernel, stride)
    np.testing.assert_array_equal(y, reference.max_pool_forward(x, kernel, stride))
    gy = rng.integers(-8, 9, y.shape).astype(np.float32)
    found = cpu.max_pool_backward(gy, x, y, kernel, stride)
    np.testing.assert_array_equal(found, reference.max_pool_backward(gy, x, y, kernel, stride))


def test_nan_is_the_largest_wherever_it_stands():
    for window in ([1, np.nan, 0, 2], [np.nan, 3, 1, 2], [0, 1, 2, np.nan]):
        x = np.array(window, np.float32).reshape(1, 2, 2, 1)
        assert np.isnan(cpu.max_pool_forward(x, (2, 2), (2, 2))).all()
