"""Sums that no order changes: the bits of the reference."""

import numpy as np
import pytest

from snncore.kernels import cuda, reference
from tests.snncore.kernels.cuda.pairs import SIZES, both, floats, up


def powers(x):
    """The powers of two above the largest magnitude of each channel."""
    largest = reference.binned_largest(x)
    return np.ldexp(np.ones_like(largest), np.frexp(largest)[1])


@pytest.mark.parametrize("channels", SIZES)
def test_sums_and_squares(gpu, rng, channels):
    x = floats(rng, 3, 2, 5, 4, channels) * np.float32(10) ** rng.integers(-6, 7, (3, 2, 5, 4, channels))
    x = x.astype(np.float32)
    top, centre = powers(x), x.mean((0, 1, 2, 3), np.float64)
    for args in ((x, top), (x, 4 * top * top, centre)):
        (expected,), (got,) = both(gpu, "binned_sums", *args)
        np.testing.assert_array_equal(got.view(np.uint64), expected.view(np.uint64))


@pytest.mark.parametrize("channels", SIZES)
def test_largest_magnitudes(gpu, rng, channels):
    x = floats(rng, 3, 2, 5, 4, channels)
    x[..., 0] = -abs(x[..., 0])  # negative ones count, too
    x[1, 1, 2, 3, -1] = -0.0
    (expected,), (got,) = both(gpu, "binned_largest", x)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.float64


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_the_largest_of_what_is_not_finite_is_infinite_in_its_channel(gpu, rng, bad):
    x = floats(rng, 40, 3)
    x[7, 1] = bad
    (expected,), (got,) = both(gpu, "binned_largest", x)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.isinf(got), [False, True, False])


def test_more_rows_than_blocks_take_at_once(gpu, rng):
    x = floats(rng, 5000, 3)
    for name, args in (("binned_sums", (x, powers(x))), ("binned_largest", (x,))):
        (expected,), (got,) = both(gpu, name, *args)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_what_is_not_finite_is_seen_in_its_channel(gpu, rng):
    x = floats(rng, 20, 3)
    x[7, 1] = np.inf
    top = np.array([8.0, np.inf, 8.0])
    (expected,), (got,) = both(gpu, "binned_sums", x, top)
    np.testing.assert_array_equal(got, expected)
    assert np.isnan(got[:, 1]).all()


def test_float64_is_left_to_the_reference(gpu, rng):
    x = rng.standard_normal((20, 3))
    top = powers(x)
    np.testing.assert_array_equal(cuda.binned_sums(up(gpu, x), up(gpu, top)).get(), reference.binned_sums(x, top))
    np.testing.assert_array_equal(cuda.binned_largest(up(gpu, x)).get(), reference.binned_largest(x))
