"""Event-driven convolution against the reference in float64, over layers of every kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.kernels import reference
from snncore.kernels.cpu import conv_event, conv_event_weight
from snncore.kernels.cpu.events import look_at
from tests.snncore.kernels.agreement import assert_agrees
from tests.snncore.kernels.cpu.layers import THREADS, draw_spikes, layers, on_threads

BOUND = 2e-6  # float32 sums of up to 4 x 4 x 130 terms


@given(layers(), THREADS)
def test_forward_is_the_reference(layer, threads):
    x, w, stride, padding = layer
    before = x.copy()
    found = on_threads(threads, conv_event.conv_forward, look_at(x), w, stride, padding)
    assert found.dtype == np.float32
    wide = w.astype(np.float64)
    terms = reference.conv_forward(x, abs(wide), stride, padding)
    assert_agrees(found, reference.conv_forward(x, wide, stride, padding), BOUND, terms)
    np.testing.assert_array_equal(x, before)


@given(layers(strides=(1,)), st.integers(0, 2**16), THREADS, st.sampled_from([0, 1000]))
def test_weight_gradient_is_the_reference(layer, seed, threads, fewest):
    """With sums of neighbours and without; the same bits with any number of threads."""
    x, w, stride, padding = layer
    shape = reference.conv_forward(x, w, stride, padding).shape
    gy = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv_event_weight, "FEWEST", fewest)
        arguments = look_at(x), gy, w.shape[:2], padding
        found = on_threads(threads, conv_event_weight.conv_backward_weight, *arguments)
        np.testing.assert_array_equal(found, on_threads(1, conv_event_weight.conv_backward_weight, *arguments))
    exact = reference.conv_backward_weight(x, gy.astype(np.float64), w.shape[:2], stride, padding)
    terms = reference.conv_backward_weight(x, abs(gy.astype(np.float64)), w.shape[:2], stride, padding)
    assert_agrees(found, exact, BOUND, terms)


def test_one_spike_lays_its_weights_around_its_pixel():
    x = np.zeros((1, 4, 5, 2), np.uint8)
    x[0, 1, 3, 1] = 2
    w = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)
    y = conv_event.conv_forward(look_at(x), w, (1, 1), (1, 1))
    expected = np.zeros((1, 4, 5, 4), np.float32)
    expected[0, 0:3, 2:5] = 2 * w[::-1, ::-1, 1]  # the tap at offset d lands at -d
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("value", [3, 16, 254, 255])
def test_large_values_count_that_often(value, rng):
    x = draw_spikes(rng, (2, 5, 4, 16), 0.2)
    x[0, 2, 2, 5] = value
    w = rng.integers(-4, 5, (3, 3, 16, 16)).astype(np.float32)  # integers: float32 sums are exact
    y = conv_event.conv_forward(look_at(x), w, (1, 1), (1, 1))
    np.testing.assert_array_equal(y, reference.conv_forward(x, w, (1, 1), (1, 1)))
    gy = rng.integers(-4, 5, y.shape).astype(np.float32)
    gw = conv_event_weight.conv_backward_weight(look_at(x), gy, (3, 3), (1, 1))
    np.testing.assert_array_equal(gw, reference.conv_backward_weight(x, gy, (3, 3), (1, 1), (1, 1)))


def test_a_sum_does_not_depend_on_the_other_images(rng):
    x = draw_spikes(rng, (6, 8, 8, 64), 0.2)
    w = rng.standard_normal((3, 3, 64, 64)).astype(np.float32)
    whole = conv_event.conv_forward(look_at(x), w, (1, 1), (1, 1))
    parts = [conv_event.conv_forward(look_at(x[i : i + 2]), w, (1, 1), (1, 1)) for i in (0, 2, 4)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (0, 2), (2, 2), (1, 1)])
@pytest.mark.parametrize("channels_out", [16, 32, 64, 70])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 3)])
def test_windows_three_wide_with_any_padding(rng, kernel, channels_out, padding):
    """The sums of neighbouring pixels roll along a row only where the border is one pixel wide."""
    x = draw_spikes(rng, (2, 5, 6, 20), 0.4)
    w = rng.integers(-4, 5, (*kernel, 20, channels_out)).astype(np.float32)  # integers: float32 sums are exact
    y = conv_event.conv_forward(look_at(x), w, (1, 1), padding)
    np.testing.assert_array_equal(y, reference.conv_forward(x, w, (1, 1), padding))
    gy = rng.integers(-4, 5, y.shape).astype(np.float32)
    gw = conv_event_weight.conv_backward_weight(look_at(x), gy, kernel, padding)
    np.testing.assert_array_equal(gw, reference.conv_backward_weight(x, gy, kernel, (1, 1), padding))


@pytest.mark.parametrize("channels_out", [16, 32, 64])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 7])
def test_neighbours_that_fire_together_and_alone(rng, width, channels_out):
    """A row of weights that two pixels list is added to both; rows of pixels end within a pair or after it.

    The gradients of two neighbours that fire are one row of sums.
    """
    x = np.repeat(draw_spikes(rng, (3, 4, -(-width // 2), 70), 0.3), 2, axis=2)[:, :, :width]
    x = np.where(rng.random(x.shape) < 0.3, draw_spikes(rng, x.shape, 0.3), x)
    w = rng.integers(-4, 5, (3, 3, 70, channels_out)).astype(np.float32)  # integers: float32 sums are exact
    y = conv_event.conv_forward(look_at(x), w, (1, 1), (1, 1))
    np.testing.assert_array_equal(y, reference.conv_forward(x, w, (1, 1), (1, 1)))
    gy = rng.integers(-4, 5, y.shape).astype(np.float32)
    gw = conv_event_weight.conv_backward_weight(look_at(x), gy, (3, 3), (1, 1))
    np.testing.assert_array_equal(gw, reference.conv_backward_weight(x, gy, (3, 3), (1, 1), (1, 1)))


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (2, 2), (1, 2), (4, 3)])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 2), (4, 4), (30, 30)])
@pytest.mark.parametrize("fewest", [0, 1000])  # with sums of neighbours, and without
def test_weight_gradient_over_stacks_of_small_images_and_bands_of_large_ones(rng, monkeypatch, fewest, size, padding):
    monkeypatch.setattr(conv_event_weight, "FEWEST", fewest)
    if min(size) + 2 * min(padding) < 3:
        pytest.skip("smaller than the window")
    x = draw_spikes(rng, (41, *size, 8), 0.3)  # 41: the last stack is not full
    shape = reference.conv_forward(x, np.ones((3, 3, 8, 64), np.float32), (1, 1), padding).shape
    gy = rng.integers(-4, 5, shape).astype(np.float32)  # integers: float32 sums are exact
    gw = conv_event_weight.conv_backward_weight(look_at(x), gy, (3, 3), padding)
    np.testing.assert_array_equal(gw, reference.conv_backward_weight(x, gy, (3, 3), (1, 1), padding))


def test_pairs_of_neighbours_are_counted_at_each_pixel(rng):
    x = draw_spikes(rng, (3, 4, 5, 70), 0.3)
    both = (x[:, :, 1:] > 0) & (x[:, :, :-1] > 0)
    assert conv_event_weight.pairs_a_pixel(x) == pytest.approx(both.sum() / (3 * 4 * 5), rel=1e-12)
    assert conv_event_weight.pairs_a_pixel(x[:, :, :1]) == 0
    assert conv_event_weight.pairs_a_pixel(x[:0]) == 0


@pytest.mark.parametrize("fewest", [0, 1000])
def test_a_layer_of_real_size(rng, monkeypatch, fewest):
    """More rows than a block of weights serves, more images than parts of the weight gradient, several bands."""
    monkeypatch.setattr(conv_event_weight, "FEWEST", fewest)
    x = draw_spikes(rng, (11, 20, 24, 64), 0.1)
    w = rng.integers(-4, 5, (3, 3, 64, 64)).astype(np.float32)
    y = conv_event.conv_forward(look_at(x), w, (1, 1), (1, 1))
    np.testing.assert_array_equal(y, reference.conv_forward(x, w, (1, 1), (1, 1)))
    gy = rng.integers(-4, 5, y.shape).astype(np.float32)
    gw = conv_event_weight.conv_backward_weight(look_at(x), gy, (3, 3), (1, 1))
    np.testing.assert_array_equal(gw, reference.conv_backward_weight(x, gy, (3, 3), (1, 1), (1, 1)))
