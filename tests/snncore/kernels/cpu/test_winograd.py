"""Winograd convolution against the direct sum in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.kernels import reference
from snncore.kernels.cpu import winograd
from tests.snncore.kernels.agreement import assert_agrees

BOUNDS = {2: 2e-6, 4: 3e-5}  # as the head of the module says, with the small channel counts here
PADDINGS = st.integers(0, 2)


@given(
    st.tuples(st.integers(1, 3), st.integers(3, 10), st.integers(3, 10)),
    st.sampled_from([1, 16, 40, 64]),
    st.sampled_from([1, 16, 70]),
    st.tuples(PADDINGS, PADDINGS),
    st.sampled_from([2, 4]),
    st.booleans(),
    st.booleans(),
)
def test_it_is_the_direct_sum(images, channels_in, channels_out, padding, m, spikes, turned):
    rng = np.random.default_rng(0)
    shape = (*images, channels_in)
    x = rng.integers(0, 3, shape).astype(np.uint8) if spikes else rng.standard_normal(shape).astype(np.float32)
    w = rng.standard_normal((3, 3, channels_in, channels_out)).astype(np.float32)
    exact = reference.conv_forward(x.astype(np.float64), w.astype(np.float64), (1, 1), padding)
    if turned:  # as the input gradient hands the weights over
        w = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
    assert_agrees(winograd.conv3x3(x, w, padding, m, turned), exact, BOUNDS[m])


@given(st.integers(1, 40), st.sampled_from([16, 40, 70]), st.sampled_from([1, 16, 70]), st.sampled_from([2, 4]))
def test_images_of_two_by_two_pixels_are_one_tile(images, channels_in, channels_out, m):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, 2, 2, channels_in)).astype(np.float32)
    w = rng.standard_normal((3, 3, channels_in, channels_out)).astype(np.float32)
    exact = reference.conv_forward(x.astype(np.float64), w.astype(np.float64), (1, 1), (1, 1))
    assert_agrees(winograd.conv3x3(x, w, (1, 1), m), exact, BOUNDS[2])
    turned = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
    assert_agrees(winograd.conv3x3(x, turned, (1, 1), m, turned=True), exact, BOUNDS[2])


def test_three_multiplications_are_the_product_with_a_toeplitz_matrix():
    b, a, g = (np.array(getattr(winograd, f"{name}_PAIR")) for name in ("INPUT", "OUTPUT", "FILTER"))
    for i, k in np.ndindex(2, 3):
        x, w = np.eye(2, dtype=int)[i], np.eye(3, dtype=int)[k]
        np.testing.assert_array_equal(a @ ((g @ w) * (b @ x)), [[w[1], w[2]], [w[0], w[1]]] @ x)


@pytest.mark.parametrize("m", [2, 4])
def test_the_transforms_multiply_polynomials(m):
    """A^T [(G w) * (B^T x)] is the correlation of x and w, for each of the unit vectors: the identity behind it all."""
    b, a, g = (np.array(getattr(winograd, f"{name}_{m}"), float) for name in ("INPUT", "OUTPUT", "FILTER"))
    for i, k in np.ndindex(m + 2, 3):
        x, w = np.eye(m + 2)[i], np.eye(3)[k]
        np.testing.assert_allclose(a @ ((g @ w) * (b @ x)), np.correlate(x, w, "valid"), atol=1e-14)


def test_many_images_are_cut_into_groups(rng, monkeypatch):
    x = rng.standard_normal((7, 8, 8, 16)).astype(np.float32)
    w = rng.standard_normal((3, 3, 16, 16)).astype(np.float32)
    whole = winograd.conv3x3(x, w, (1, 1), 4)
    monkeypatch.setattr(winograd, "GROUP_BYTES", 3 * 36 * 4 * 16 * 4)  # three images
    np.testing.assert_array_equal(winograd.conv3x3(x, w, (1, 1), 4), whole)
