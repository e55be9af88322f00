"""Winograd's convolution in integers is the reference to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snncore.kernels import cpu, reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cpu import exact_digits, exact_winograd
from tests.snncore.kernels.cpu.layers import draw_spikes
from tests.snncore.kernels.cpu.test_exact import THREADS, on_threads

pytestmark = pytest.mark.skipif(not exact_digits.VNNI, reason="needs AVX-512 VNNI")
ONE = (1, 1)
SIDE = st.integers(1, 9)


@settings(max_examples=max(1, settings().max_examples // 2))
@given(
    st.tuples(st.integers(1, 3), SIDE, SIDE, st.sampled_from([16, 48, 64, 80, 128])),
    st.sampled_from([16, 48]),
    st.tuples(*[st.integers(1, 2)] * 2),
    st.sampled_from([1, 2, 63]),
    st.sampled_from([0.0, 0.3, 1.0]),
    THREADS,
    st.integers(-130, 90),
)
def test_any_layer(shape, channels_out, padding, largest, density, threads, power):
    rng = np.random.default_rng(sum(shape))
    x = draw_spikes(rng, shape, density, largest)
    w = np.ldexp(rng.standard_normal((3, 3, shape[3], channels_out)).astype(np.float32), power)
    y = on_threads(threads, exact_winograd.conv_forward, x, exact_winograd.pack(w), padding)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, ONE, padding))


@pytest.mark.parametrize("kind", ["all", "stripes", "one sign"])
def test_the_largest_sums_fit(kind):
    """4096 channels of spikes of 63: places of V are 0 or 252, those of one sign for all channels."""
    rng = np.random.default_rng(0)
    x = np.full((1, 4, 4, 4096), 63, np.uint8)
    if kind == "stripes":
        x[:, ::2] = 0
        x[:, :, 1::2] = 0
    w = rng.standard_normal((3, 3, 4096, 16)).astype(np.float32)
    w = abs(w) if kind == "one sign" else w
    y = exact_winograd.conv_forward(x, exact_winograd.pack(w), (0, 0))
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, ONE, (0, 0)))


def test_four_digits_hold_the_sums_of_a_digit():
    """16 times a sum of bytes of 255 by digits of -128 is the largest that 4 Y of a digit can be."""
    assert exact_winograd.DEEPEST * 255 * 128 * 16 < 2**31
    assert sum(127 * 256**n for n in range(4)) == exact_winograd.FIT


def test_weights_without_four_digits_go_to_the_other_kernel(rng):
    """One channel holds all: U at place (2, 2) is the sum of all magnitudes, and near 2^31."""
    sign = np.array([1, -1, 1])
    magnitude = np.where(np.outer(sign, sign) > 0, 1 / 5, 1 / 4) * (1 - 2**-20)
    w = np.zeros((3, 3, 16, 16), np.float32)
    w[:, :, 3, 7] = np.outer(sign, sign) * magnitude
    assert exact_winograd.pack(w) is None
    x = draw_spikes(rng, (1, 6, 6, 16), 0.9)
    with use_kernels("dense"):
        y = cpu.exact_conv_forward(x, w, ONE, ONE)
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, ONE, ONE))
    assert exact_winograd.pack(w * np.float32(0.99)) is not None  # no sum of either sign is near 2^30 any more


def test_weights_that_are_not_ordinary_are_not_packed():
    w = np.ones((3, 3, 16, 16), np.float32)
    w[0, 0, 0, 0] = np.nan
    assert exact_winograd.pack(w) is None


@pytest.mark.parametrize(
    ("largest", "shape", "stride", "expected"),
    [
        (63, (3, 3, 16, 32), ONE, True),
        (64, (3, 3, 16, 32), ONE, False),
        (1, (3, 3, 16, 32), (1, 2), False),
        (1, (3, 1, 16, 32), ONE, False),
        (1, (3, 3, 24, 32), ONE, False),
        (1, (3, 3, 16, 10), ONE, False),
        (1, (3, 3, 4112, 16), ONE, False),
    ],
)
def test_which_layers_it_takes(largest, shape, stride, expected):
    assert exact_winograd.takes(largest, np.empty(shape, np.float32), stride) is expected
