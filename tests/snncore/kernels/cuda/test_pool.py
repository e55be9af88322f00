"""Max pooling and the SEW connection: bit for bit."""

import numpy as np
import pytest

from snncore.kernels import cuda
from snncore.kernels.cuda import spikes
from snncore.kernels.cuda.spikes import count_spikes, count_spikes_of_four
from tests.snncore.kernels.cuda.pairs import SIZES, both, floats, up
from tests.support.double.ledger import events

WINDOWS = [((2, 2), (2, 2)), ((3, 2), (1, 2)), ((2, 3), (3, 2)), ((3, 3), (1, 1))]
BESIDE = [(2, 2), (3, 2), (2, 4), (1, 1)]  # windows side by side: the image [7, 6] ends within some


def images(rng, channels, spikes):
    shape = (3, 7, 6, channels)
    return rng.integers(0, 3, shape).astype(np.uint8) if spikes else floats(rng, *shape)


@pytest.mark.parametrize(("kernel", "stride"), WINDOWS)
@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("channels", SIZES)
def test_max_pooling(gpu, rng, channels, spikes, kernel, stride):
    x = images(rng, channels, spikes)
    (y,), got = both(gpu, "max_pool_forward", x, kernel, stride)
    assert got[0].dtype == x.dtype
    np.testing.assert_array_equal(got[0], y)
    (gx,), got = both(gpu, "max_pool_backward", floats(rng, *y.shape), x, y, kernel, stride)
    np.testing.assert_array_equal(got[0], gx)


@pytest.mark.parametrize("kernel", BESIDE)
@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("channels", [4, 64, 260])
def test_four_channels_of_windows_side_by_side(gpu, rng, channels, spikes, kernel):
    x = images(rng, channels, spikes)
    if spikes:
        x[rng.random(x.shape) < 0.1] = 255
    else:
        x[0, :2, :2, :2] = np.nan
    (y,), got = both(gpu, "max_pool_forward", x, kernel, kernel)
    assert got[0].dtype == x.dtype
    np.testing.assert_array_equal(got[0], y)
    (gx,), got = both(gpu, "max_pool_backward", floats(rng, *y.shape), x, y, kernel, kernel)
    np.testing.assert_array_equal(got[0], gx)


@pytest.mark.parametrize("channels", [1, 4])
def test_a_nan_is_the_largest(gpu, channels):
    x = np.repeat(np.array([[1, np.nan], [3, 2]], np.float32).reshape(1, 2, 2, 1), channels, axis=3)
    assert np.isnan(cuda.max_pool_forward(up(gpu, x), (2, 2), (2, 2)).get()).all()


def test_images_that_do_not_begin_at_a_multiple_of_four_channels(gpu, rng):
    x = images(rng, 4, spikes=True)
    flat = up(gpu, np.concatenate([np.zeros(3, np.uint8), x.ravel()]))
    y = cuda.max_pool_forward(flat[3:].reshape(x.shape), (2, 2), (2, 2))
    np.testing.assert_array_equal(y.get(), cuda.max_pool_forward(up(gpu, x), (2, 2), (2, 2)).get())


@pytest.mark.parametrize("n", [*SIZES, 16, 4096 + 5])
def test_sew_add_of_bytes_wraps_as_numpy_does(gpu, rng, n):
    a, s = (rng.integers(0, 256, n).astype(np.uint8) for _ in range(2))
    (expected,), (got,) = both(gpu, "sew_add", a, s)
    np.testing.assert_array_equal(got, expected)


def test_sew_add_takes_what_is_not_aligned(gpu, rng):
    a, s = (up(gpu, rng.integers(0, 2, 50).astype(np.uint8)) for _ in range(2))
    np.testing.assert_array_equal(cuda.sew_add(a[1:40], s[1:40]).get(), (a[1:40] + s[1:40]).get())


@pytest.mark.parametrize("n", [*SIZES, 4096 + 5])
def test_spikes_are_counted_without_waiting(gpu, rng, n):
    s = up(gpu, rng.choice(np.array([0, 1, 2, 127, 128, 255], np.uint8), n))
    count = gpu.full((), 5, np.uint64)
    before = events.copy()
    count_spikes(s, count)
    count_spikes(s[n // 2 :], count)
    assert set(events - before) == {"launch"}
    host = s.get()
    assert int(count) == 5 + np.count_nonzero(host) + np.count_nonzero(host[n // 2 :])


@pytest.mark.parametrize("sizes", [(5,), (4096 + 5, 1), (33, 16, 5000), (1, 257, 4096, 31)])
def test_spikes_of_four_arrays_are_counted_by_one_launch(gpu, rng, sizes):
    trains = [up(gpu, rng.choice(np.array([0, 1, 128], np.uint8), n)) for n in sizes]
    counts = gpu.full(6, 7, np.uint64)
    before = events.copy()
    count_spikes_of_four(trains, counts[1 : 1 + len(sizes)])
    assert events - before == {"launch": 1}
    expected = [np.count_nonzero(s.get()) for s in trains]
    assert counts.get().tolist() == [7, *(7 + n for n in expected), *[7] * (5 - len(sizes))]
    count_spikes_of_four([s[1:] for s in trains], counts[1 : 1 + len(sizes)])  # none is aligned
    expected = [n + np.count_nonzero(s.get()[1:]) for n, s in zip(expected, trains, strict=True)]
    assert counts.get().tolist()[1 : 1 + len(sizes)] == [7 + n for n in expected]


@pytest.mark.parametrize("sizes", [(100_000,), (100_003, 70_000, 5)])
def test_spikes_beyond_what_all_blocks_take_at_once_are_counted(gpu, rng, monkeypatch, sizes):
    monkeypatch.setattr(spikes, "COUNT_BLOCKS", 4)
    trains = [up(gpu, rng.integers(0, 2, n).astype(np.uint8)) for n in sizes]
    counts = gpu.zeros(len(sizes), np.uint64)
    count_spikes_of_four(trains, counts)
    assert counts.get().tolist() == [np.count_nonzero(s.get()) for s in trains]
