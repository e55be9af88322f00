"""Lists of spikes against numpy.nonzero."""

import numpy as np
import pytest

from snncore.kernels.cpu.count_masks import count_flat
from snncore.kernels.cpu.events import list_by_channel, list_by_pair, list_by_pixel, look_at
from tests.snncore.kernels.cpu.layers import draw_spikes


@pytest.mark.parametrize("channels", [1, 7, 64, 100, 128])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_counts_of_each_image(rng, channels, density):
    x = draw_spikes(rng, (3, 5, 2, channels), density)
    spikes = look_at(x)
    np.testing.assert_array_equal(spikes.totals, x.reshape(3, -1).sum(axis=1, dtype=np.int64))
    assert spikes.largest == x.max()
    assert spikes.density == pytest.approx(x.sum() / x.size, rel=1e-15)
    np.testing.assert_array_equal(spikes.x, x)


@pytest.mark.parametrize("channels", [3, 64, 100])
def test_each_pixel_lists_its_channels_as_often_as_they_count(rng, channels):
    x = draw_spikes(rng, (2, 3, 4, channels), 0.4, largest=3)
    spikes = look_at(x)
    blocks = -(-channels // 64)
    pointers = np.empty((blocks, 2, 3, 5), np.int32)
    index = np.empty(spikes.starts()[-1], np.int32)
    list_by_pixel(spikes.x, spikes.starts(), 64, 4, pointers, index)
    for block, m, i, j in np.ndindex(blocks, 2, 3, 4):
        found = np.sort(index[pointers[block, m, i, j] : pointers[block, m, i, j + 1]])
        here = x[m, i, j, 64 * block : 64 * (block + 1)]
        np.testing.assert_array_equal(found, 4 * (64 * j + np.repeat(np.arange(len(here)), here)))


@pytest.mark.parametrize("density", [0.4, 1.0])
@pytest.mark.parametrize("channels", [3, 64, 100])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_each_pair_lists_the_channels_of_both_pixels_and_of_each_alone(rng, width, channels, density):
    x = draw_spikes(rng, (2, 3, width, channels), density, largest=3)
    x[0, 0, 0, :2] = 255
    spikes = look_at(x)
    blocks, pairs = -(-channels // 64), -(-width // 2)
    pointers = np.empty((blocks, 2, 3, 3 * pairs + 1), np.int32)
    index = np.full(spikes.starts()[-1] + 64, -7, np.int32)
    list_by_pair(spikes.x, spikes.starts(), 4, pointers, index)
    for block, m, i, h in np.ndindex(blocks, 2, 3, pairs):
        here = np.zeros((2, 64), np.uint8)
        pixels = x[m, i, 2 * h : 2 * h + 2, 64 * block : 64 * (block + 1)]
        here[: len(pixels), : pixels.shape[1]] = pixels
        both = here.min(axis=0)
        for k, counts in enumerate((both, here[0] - both, here[1] - both)):
            found = index[pointers[block, m, i, 3 * h + k] : pointers[block, m, i, 3 * h + k + 1]]
            np.testing.assert_array_equal(np.sort(found), 4 * np.repeat(np.arange(64), counts))
    for m, start in enumerate(spikes.starts()[1:]):  # what lies behind the lists of an image is another's
        assert pointers[:, m].max() <= start
        np.testing.assert_array_equal(index[pointers[:, m].max() : start], -7)
    np.testing.assert_array_equal(index[-64:], -7)


@pytest.mark.parametrize("channels", [3, 64, 100])
def test_each_channel_lists_its_pixels_in_each_band(rng, channels):
    x = draw_spikes(rng, (2, 5, 4, channels), 0.4)
    spikes = look_at(x)
    pointers = np.empty((2, 3, channels + 1), np.int32)
    index = np.empty(spikes.starts()[-1], np.int32)
    list_by_channel(spikes.x, spikes.starts(), spikes.largest, 2, 1, (7, 10), 4, 0, pointers, index)
    for m, k, c in np.ndindex(2, 3, channels):
        found = np.sort(index[pointers[m, k, c] : pointers[m, k, c + 1]])
        here = x[m, 2 * k : 2 * k + 2, :, c]
        rows, columns = np.indices(here.shape)
        np.testing.assert_array_equal(found, 4 * np.repeat(10 * rows + columns, here.ravel()))


@pytest.mark.parametrize("channels", [3, 64, 100])
def test_each_channel_lists_its_pixels_in_each_stack_of_images(rng, channels):
    x = draw_spikes(rng, (5, 2, 3, channels), 0.4)
    spikes = look_at(x)
    pointers = np.empty((3, 1, channels + 1), np.int32)
    index = np.empty(spikes.starts()[-1], np.int32)
    list_by_channel(spikes.x, spikes.starts(), spikes.largest, 2, 2, (3, 4), 4, 0, pointers, index)
    for g, c in np.ndindex(3, channels):
        found = np.sort(index[pointers[g, 0, c] : pointers[g, 0, c + 1]])
        here = x[2 * g : 2 * g + 2, :, :, c]
        images, rows, columns = np.indices(here.shape)
        np.testing.assert_array_equal(found, 4 * np.repeat((3 * images + rows) * 4 + columns, here.ravel()))


def entries(x):
    """Return 4 * place of what is active in x, uint8 [n], and 4 * place + 1000 of two neighbours, counted from left."""
    found = []
    for level in range(x.max(initial=0)):
        k = 0
        while k < len(x):
            whole = k % 64 < 63 and k + 1 < len(x) and x[k + 1] > level
            if x[k] > level:
                found.append(4 * k + 1000 * whole)
                k += whole
            k += 1
    return sorted(found)


@pytest.mark.parametrize("density", [0.0, 0.4, 0.9, 1.0])
@pytest.mark.parametrize("channels", [3, 64, 100])
@pytest.mark.parametrize("largest", [1, 3, 255])
def test_neighbours_that_are_both_active_are_one_entry(rng, largest, channels, density):
    """A tile of 5 x 20 places, the last two of a row without pixels: two masks of 64, where a pair is not listed."""
    x = ((rng.random((2, 7, 18, channels)) < density) * rng.integers(1, 4, (2, 7, 18, channels))).astype(np.uint8)
    x = np.minimum(x, largest)
    x[1, 3, 4, 1] = largest
    spikes = look_at(x)
    pointers = np.empty((2, 2, channels + 1), np.int32)
    index = np.full(spikes.starts()[-1] + 64, -7, np.int32)
    list_by_channel(spikes.x, spikes.starts(), spikes.largest, 5, 1, (9, 20), 4, 1000, pointers, index)
    for m, k, c in np.ndindex(2, 2, channels):
        places = np.zeros((5, 20), np.uint8)
        here = x[m, 5 * k : 5 * k + 5, :, c]
        places[: len(here), :18] = here
        found = np.sort(index[pointers[m, k, c] : pointers[m, k, c + 1]])
        np.testing.assert_array_equal(found, entries(places.ravel()))
    for m, start in enumerate(spikes.starts()[1:]):  # what lies behind the lists of an image is another's
        np.testing.assert_array_equal(index[pointers[m].max() : start], -7)
    np.testing.assert_array_equal(index[-64:], -7)


@pytest.mark.parametrize("n", [7, 192, 200])
@pytest.mark.parametrize("largest", [1, 2, 255])
def test_values_are_counted_by_kind(rng, largest, n):
    x = ((rng.random((3, n)) < 0.4) * rng.integers(1, largest + 1, (3, n))).astype(np.uint8)
    x[0, :2] = largest
    counts = count_flat(x)
    wide = x.astype(np.int64)
    expected = [(wide == 1).sum(1), (wide > 1).sum(1), (wide * (wide > 1)).sum(1), wide.max(1)]
    np.testing.assert_array_equal(counts, expected)
