"""Convolution in groups against the reference in float64, and which kernel each layer gets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.kernels import cpu, reference
from snncore.kernels.cpu import conv, conv_grouped
from tests.snncore.kernels.agreement import assert_agrees
from tests.snncore.kernels.cpu.layers import draw_spikes

BOUND, WINOGRAD = 3e-6, 3e-5  # of sums in float32, and of Winograd's input gradient
ONE = (1, 1)


@st.composite
def grouped_layers(draw):
    """Return (x [M, H, W, Ci], w [kh, kw, Ci / groups, Co], stride, padding, dilation), x spikes or floats."""
    kernel = draw(st.sampled_from([(3, 3), (1, 1), (2, 3)]))
    padding, stride, dilation = (draw(st.tuples(*[st.sampled_from(s)] * 2)) for s in ((1, 0, 2), (1, 2), (1, 1, 2)))
    size = [draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 8)) for k, p, d in zip(kernel, padding, dilation)]  # noqa: B905
    ci, co, groups = draw(st.sampled_from([(1, 1, 5), (1, 1, 33), (16, 16, 3), (20, 17, 2), (64, 64, 2), (2, 3, 2)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    x = draw_spikes(rng, (draw(st.integers(1, 3)), *size, groups * ci), draw(st.sampled_from([0.1, 1.0])))
    if draw(st.booleans()):
        x = rng.standard_normal(x.shape, np.float32)
    return x, rng.standard_normal((*kernel, ci, groups * co)).astype(np.float32), stride, padding, dilation


@given(grouped_layers(), st.integers(0, 2**16))
def test_all_three_passes_are_the_reference(layer, seed):
    x, w, *how = layer
    groups = x.shape[-1] // w.shape[2]
    wide_x, wide = x.astype(np.float64), w.astype(np.float64)
    exact = reference.grouped_conv_forward(wide_x, wide, *how)
    terms = reference.grouped_conv_forward(abs(wide_x), abs(wide), *how)
    assert_agrees(cpu.grouped_conv_forward(x, w, *how), exact, BOUND, terms)
    gy = np.random.default_rng(seed).standard_normal(exact.shape).astype(np.float32)
    wide_gy = gy.astype(np.float64)
    found = cpu.grouped_conv_backward_weight(x, gy, w.shape[:2], groups, *how)
    exact = reference.grouped_conv_backward_weight(wide_x, wide_gy, w.shape[:2], groups, *how)
    terms = reference.grouped_conv_backward_weight(abs(wide_x), abs(wide_gy), w.shape[:2], groups, *how)
    assert_agrees(found, exact, BOUND, terms)
    found = cpu.grouped_conv_backward_input(gy, w, x.shape, *how)
    exact = reference.grouped_conv_backward_input(wide_gy, wide, x.shape, *how)
    terms = reference.grouped_conv_backward_input(abs(wide_gy), abs(wide), x.shape, *how)
    assert_agrees(found, exact, WINOGRAD, terms)
    if w.shape[2:] == (1, groups):  # depthwise
        np.testing.assert_array_equal(cpu.grouped_conv_forward(x, w, *how), reference.grouped_conv_forward(x, w, *how))
        np.testing.assert_array_equal(found, reference.grouped_conv_backward_input(gy, w, x.shape, *how))


@pytest.mark.parametrize(
    ("ci", "co", "groups", "dilation", "way"),
    [
        (64, 64, 4, ONE, "groups"),
        (3, 5, 1, ONE, "groups"),
        (1, 1, 8, ONE, "depthwise"),
        (1, 1, 8, (2, 1), "depthwise"),
        (1, 2, 8, ONE, "reference"),
        (64, 64, 4, (1, 2), "reference"),
        (8, 64, 4, ONE, "reference"),
        (64, 8, 4, ONE, "reference"),
    ],
)
def test_which_kernel_runs(ci, co, groups, dilation, way):
    types = np.dtype(np.uint8), np.dtype(np.float32)
    assert conv_grouped.way_of(*types, (ci, co), groups, dilation) == way
    assert conv_grouped.way_of(types[0], np.dtype(np.float64), (ci, co), groups, dilation) == "reference"
    assert conv_grouped.way_of(np.dtype(np.int64), types[1], (ci, co), groups, dilation) == "reference"


def test_each_group_is_looked_at_by_itself(rng, monkeypatch):
    """The spikes of one group are few, those of the other many: each goes to its own kernel."""
    x = np.concatenate([draw_spikes(rng, (2, 6, 6, 16), 0.1), np.ones((2, 6, 6, 16), np.uint8)], axis=-1)
    seen = []
    worth = conv.worth_listing
    monkeypatch.setattr(conv, "worth_listing", lambda *args: seen.append(worth(*args)) or seen[-1])
    w = rng.standard_normal((3, 3, 16, 32)).astype(np.float32)
    found = cpu.grouped_conv_forward(x, w, ONE, ONE, ONE)
    assert seen == [True, False]
    exact = reference.grouped_conv_forward(x, w.astype(np.float64), ONE, ONE, ONE)
    assert_agrees(found, exact, BOUND)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the reference multiplies infinities by zeros
@pytest.mark.parametrize(("ci", "groups"), [(1, 6), (16, 2)])
def test_what_is_not_finite_in_the_reference_is_not_finite_here(rng, ci, groups):
    x = draw_spikes(rng, (2, 5, 5, ci * groups), 0.3).astype(np.float32)
    w = rng.standard_normal((3, 3, ci, ci * groups)).astype(np.float32)
    gy = rng.standard_normal(x.shape).astype(np.float32)
    gy[1, 0, 4, 2] = np.nan  # its window lies half outside the image
    how = (ONE, ONE, ONE)
    for name, args in (
        ("grouped_conv_backward_weight", (x, gy, (3, 3), groups, *how)),
        ("grouped_conv_backward_input", (gy, w, x.shape, *how)),
    ):
        found, right = getattr(cpu, name)(*args), getattr(reference, name)(*args)
        assert not np.isfinite(right).all()
        assert not (np.isfinite(found) & ~np.isfinite(right)).any()
    w[1, 1, 0, 3] = np.inf
    np.testing.assert_array_equal(cpu.grouped_conv_forward(x, w, *how), reference.grouped_conv_forward(x, w, *how))
    found = cpu.grouped_conv_backward_input(x, w, x.shape, *how)
    np.testing.assert_array_equal(found, reference.grouped_conv_backward_input(x, w, x.shape, *how))
