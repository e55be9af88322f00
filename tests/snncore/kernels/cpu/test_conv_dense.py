"""Dense convolution by im2col against the reference in float64, over layers of every kind, spikes and floats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.kernels import reference
from snncore.kernels.cpu import conv_dense, conv_weight
from tests.snncore.kernels.agreement import assert_agrees
from tests.snncore.kernels.cpu.layers import layers

BOUND = 3e-6  # float32 sums of up to 4 x 4 x 130 terms, or over up to 243 pixels


@given(layers(), st.booleans(), st.integers(0, 2**16))
def test_all_three_passes_are_the_reference(layer, analog, seed):
    x, w, stride, padding = layer
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(x.shape).astype(np.float32) if analog else x
    wide, wide_x = w.astype(np.float64), x.astype(np.float64)
    exact = reference.conv_forward(wide_x, wide, stride, padding)
    terms = reference.conv_forward(abs(wide_x), abs(wide), stride, padding)
    assert_agrees(conv_dense.conv_forward(x, w, stride, padding), exact, BOUND, terms)
    gy = rng.standard_normal(exact.shape).astype(np.float32)
    wide_gy = gy.astype(np.float64)
    found = conv_weight.conv_backward_weight(x, gy, w.shape[:2], stride, padding)
    exact = reference.conv_backward_weight(wide_x, wide_gy, w.shape[:2], stride, padding)
    terms = reference.conv_backward_weight(abs(wide_x), abs(wide_gy), w.shape[:2], stride, padding)
    assert_agrees(found, exact, BOUND, terms)
    found = conv_dense.conv_backward_input(gy, w, x.shape, stride, padding)
    exact = reference.conv_backward_input(wide_gy, wide, x.shape, stride, padding)
    terms = reference.conv_backward_input(abs(wide_gy), abs(wide), x.shape, stride, padding)
    assert_agrees(found, exact, BOUND, terms)


@pytest.mark.parametrize("shape", [(3, 3, 16, 16), (1, 2, 5, 33), (3, 1, 70, 1)])
def test_weights_are_turned_and_transposed(rng, shape):
    w = rng.standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(conv_dense.turned_weights(w), w[::-1, ::-1].transpose(0, 1, 3, 2))


@pytest.mark.parametrize(("images", "size"), [(20, 32), (13, 40), (3, 5)])
def test_a_layer_of_real_size(rng, images, size):
    """As the first layer of a network: 220 and 221 blocks of pixels, which divide unevenly into 8 parts."""
    x = rng.integers(-8, 9, (images, size, size, 3)).astype(np.float32)  # integers: float32 sums are exact
    w = rng.integers(-4, 5, (3, 3, 3, 16)).astype(np.float32)
    y = conv_dense.conv_forward(x, w, (1, 1), (1, 1))
    np.testing.assert_array_equal(y, reference.conv_forward(x, w, (1, 1), (1, 1)))
    gy = rng.integers(-4, 5, y.shape).astype(np.float32)
    gw = conv_weight.conv_backward_weight(x, gy, (3, 3), (1, 1), (1, 1))
    np.testing.assert_array_equal(gw, reference.conv_backward_weight(x, gy, (3, 3), (1, 1), (1, 1)))
