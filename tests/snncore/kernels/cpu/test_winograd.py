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
)
def test_it_is_the_direct_sum(images, channels_in, channels_out, padding, m, spikes):
    rng = np.random.default_rng(0)
    shape = (*images, channels_in)
    x = rng.integers(0, 3, shape).astype(np.uint8) if spikes else rng.standard_normal(shape).astype(np.float32)
    w = rng.standard_normal((3, 3, channels_in, channels_out)).astype(np.float32)
    exact = reference.conv_forward(x.astype(np.float64), w.astype(np.float64), (1, 1), padding)
    assert_agrees(winograd.conv3x3(x, w, padding, m), exact, BOUNDS[m])


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
