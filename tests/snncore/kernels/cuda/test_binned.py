"""Sums that no order changes: the bits of the reference."""

import numpy as np
import pytest

from snncore.kernels import cuda, reference
from snncore.kernels.cuda import binned
from tests.snncore.kernels.cuda.pairs import SIZES, both, floats, up
from tests.support.double.ledger import events


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


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize(("channels", "blocks"), [*((c, 512) for c in SIZES), (3, 1), (33, 4)])
def test_moments_of_a_whole_batch(gpu, rng, monkeypatch, channels, blocks):
    monkeypatch.setattr(binned, "ALL_BLOCKS", blocks)
    x = floats(rng, 5, 30, channels) * np.float32(10) ** rng.integers(-3, 4, channels).astype(np.float32)
    (_, *expected), (rows, *got) = both(gpu, "binned_moments", x)
    assert rows == 150
    for e, g in zip(expected, got, strict=True):
        np.testing.assert_array_equal(g.view(np.uint64), e.view(np.uint64))
    np.testing.assert_allclose(got[0], x.mean((0, 1), np.float64), rtol=1e-14)
    np.testing.assert_allclose(got[1], x.var((0, 1), np.float64), rtol=1e-13)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_moments_of_the_smallest_and_largest_floats(gpu, rng):
    """The power above the largest is that of the reference, and what is not finite stays in its channel."""
    x = np.ones((9, 7), np.float32)
    tiny = np.float32(2.0**-149)
    for channel, largest in enumerate((tiny, 3 * tiny, np.float32(2.0**-126), np.float32(3e38), np.float32(0))):
        x[:, channel] = largest * (rng.integers(0, 2, 9) if channel < 2 else rng.random(9, np.float32))
        x[4, channel] = largest
    x[5, 5], x[6, 6] = np.nan, -np.inf
    (_, *expected), (_, *got) = both(gpu, "binned_moments", x)
    for e, g in zip(expected, got, strict=True):
        np.testing.assert_array_equal(g, e)
        assert np.isfinite(g[:5]).all()
    assert np.isnan(got[0][5:]).all()
    assert got[0][0] > 0


def test_moments_settle_in_three_launches(gpu, rng):
    x, running = floats(rng, 300, 40), [floats(rng, 40), floats(rng, 40, mean=3.0)]
    there, x_there = [up(gpu, a) for a in running], up(gpu, x)
    before = events.copy()
    _, inv_std = cuda.binned_moments(x_there, settle=cuda.SETTLES(*there, 0.1, 1e-5))
    assert events - before == {"launch": 3}
    expected = reference.batch_norm_settle(reference.binned_moments(x), *running, 0.1, 1e-5)
    for got, e in zip((inv_std, *there), (expected, *running), strict=True):
        np.testing.assert_array_equal(got.get(), e)


def test_running_statistics_in_float64_are_left_to_the_reference(gpu, rng):
    x, running = floats(rng, 20, 3), [np.zeros(3), np.ones(3)]
    there = [up(gpu, a) for a in running]
    _, inv_std = cuda.binned_moments(up(gpu, x), settle=cuda.SETTLES(*there, 0.1, 1e-5))
    np.testing.assert_array_equal(
        inv_std.get(), reference.batch_norm_settle(reference.binned_moments(x), *running, 0.1, 1e-5)
    )
    np.testing.assert_array_equal(there[0].get(), running[0])


def test_float64_is_left_to_the_reference(gpu, rng):
    x = rng.standard_normal((20, 3))
    top = powers(x)
    np.testing.assert_array_equal(cuda.binned_sums(up(gpu, x), up(gpu, top)).get(), reference.binned_sums(x, top))
    np.testing.assert_array_equal(cuda.binned_largest(up(gpu, x)).get(), reference.binned_largest(x))
