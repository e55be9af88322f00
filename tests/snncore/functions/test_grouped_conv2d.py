"""Grouped, depthwise and dilated convolution against naive loops, finite differences, and each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore import check_gradients
from snncore.functions import Conv2d, GroupedConv2d
from tests.reference.conv import conv2d, conv2d_gradients
from tests.snncore.calls import differentiate

LAYERS = [  # (H, W), kernel, groups, channels of a group in and out, stride, padding, dilation
    ((5, 4), (3, 3), 3, 1, 1, (1, 1), (1, 1), (1, 1)),  # depthwise
    ((5, 4), (3, 2), 2, 1, 3, (2, 1), (0, 1), (1, 1)),  # depthwise, three outputs a channel
    ((6, 5), (2, 2), 2, 2, 1, (1, 2), (1, 0), (2, 3)),
    ((4, 7), (1, 3), 3, 2, 2, (1, 1), (0, 2), (1, 2)),
    ((5, 5), (3, 3), 1, 2, 3, (2, 2), (2, 2), (2, 2)),  # one group: an ordinary convolution
    ((3, 3), (1, 1), 2, 2, 2, (2, 2), (0, 0), (1, 1)),
]


def made(rng, layer, as_spikes):
    size, kernel, groups, ci, co, *_ = layer
    shape = (2, *size, groups * ci)
    x = rng.integers(0, 3, shape).astype(np.uint8) if as_spikes else rng.standard_normal(shape)
    return x, rng.standard_normal((*kernel, ci, groups * co)), rng.standard_normal(groups * co)


def compare(function, x, w, b, layer):
    expected = conv2d(x, w, *layer)
    gy = np.random.default_rng(2).standard_normal(expected.shape)
    (y,), gradients = differentiate(function, [x, w, b], [gy])
    np.testing.assert_allclose(y, expected + b, rtol=0, atol=1e-12)
    right = (*conv2d_gradients(x, w, gy, *layer), gy.sum(axis=(0, 1, 2)))
    for found, other in zip(gradients, right, strict=True):
        np.testing.assert_allclose(found, other, rtol=0, atol=1e-12)


def test_depthwise_worked_out_by_hand():
    x = np.array([[[1, 10], [2, 20], [3, 30]]], np.uint8)[None]  # [1, 1, 3, 2]
    w = np.array([[1.0, 100.0], [2.0, 200.0]]).reshape(1, 2, 1, 2)
    (y,), (gx, gw) = differentiate(GroupedConv2d(), [x, w], [np.ones((1, 1, 2, 2))])
    assert y[0, 0].tolist() == [[1 + 4, 1000 + 4000], [2 + 6, 2000 + 6000]]
    assert gx[0, 0].tolist() == [[1, 100], [3, 300], [2, 200]]
    assert gw[0, :, 0].tolist() == [[1 + 2, 10 + 20], [2 + 3, 20 + 30]]


def test_a_dilated_window_worked_out_by_hand():
    x = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 4, 1)
    w = np.array([1.0, 5.0]).reshape(1, 2, 1, 1)
    (y,), (gx, gw) = differentiate(Conv2d(dilation=(1, 2)), [x, w], [np.array([1.0, 2.0]).reshape(1, 1, 2, 1)])
    assert y.ravel().tolist() == [501, 5010]
    assert gx.ravel().tolist() == [1, 2, 5, 10]
    assert gw.ravel().tolist() == [1 + 20, 100 + 2000]


@pytest.mark.parametrize("as_spikes", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_groups_equal_naive_loops_forward_and_back(rng, layer, as_spikes):
    compare(GroupedConv2d(*layer[5:]), *made(rng, layer, as_spikes), layer[5:])


@pytest.mark.parametrize("layer", LAYERS)
def test_gradient_of_groups_is_the_derivative(rng, layer):
    inputs = list(made(rng, layer, as_spikes=False))
    check_gradients(GroupedConv2d(*layer[5:]), inputs, names=["x", "w", "b"], full=False, rtol=1e-8, atol=1e-8)


@st.composite
def dilated(draw):
    pairs = [(draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(3)]
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    kernel, stride, dilation = pairs
    spans = [d * (k - 1) + 1 - 2 * p for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = [draw(st.integers(max(1, span), max(1, span) + 3)) for span in spans]
    ci, co, groups = (draw(st.integers(1, 2)) for _ in range(3))
    return (size, kernel, groups, ci, co, stride, padding, dilation), draw(st.integers(0, 2**32 - 1))


@pytest.mark.parametrize("as_spikes", [False, True])
@given(dilated())
def test_any_layer_equals_naive_loops(as_spikes, problem):
    layer, seed = problem
    x, w, b = made(np.random.default_rng(seed), layer, as_spikes)
    compare(GroupedConv2d(*layer[5:]), x, w, b, layer[5:])
    if layer[2] == 1:
        compare(Conv2d(*layer[5:]), x, w, b, layer[5:])


def test_one_group_is_the_ordinary_convolution(rng):
    x, w = rng.standard_normal((2, 3, 5, 4, 3)), rng.standard_normal((3, 3, 3, 2))
    gys = [rng.standard_normal((2, 3, 3, 2, 2))]
    found, expected = (differentiate(f((2, 2), 1), [x, w], gys) for f in (GroupedConv2d, Conv2d))
    for a, b in zip(found[0] + found[1], expected[0] + expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        ((1, 4, 4, 3), (3, 3, 2, 6), r"x \(1, 4, 4, 3\) and w \(3, 3, 2, 6\)"),
        ((4, 4, 2), (3, 3, 1, 2), r"x \(4, 4, 2\)"),
        ((1, 4, 4, 2), (3, 3, 0, 2), r"w \(3, 3, 0, 2\)"),
        ((1, 4, 4, 4), (3, 3, 2, 5), r"Co a multiple of 2 groups, found w \(3, 3, 2, 5\)"),
        ((1, 2, 4, 2), (3, 3, 1, 2), r"window of \(3, 3\) does not fit x \(1, 2, 4, 2\) padded by \(0, 0\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_and_named(x, w, message):
    with pytest.raises(ValueError, match=f"GroupedConv2d: .*{message}"):
        GroupedConv2d()(np.zeros(x), np.zeros(w))


def test_other_settings_and_types_that_do_not_fit_are_refused_and_named():
    with pytest.raises(
        ValueError, match=r"window of \(3, 3\) with a dilation of \(2, 2\) does not fit x \(1, 4, 5, 1\)"
    ):
        Conv2d(dilation=2)(np.zeros((1, 4, 5, 1)), np.zeros((3, 3, 1, 1)))
    with pytest.raises(ValueError, match="dilation: expected an integer of at least 1"):
        GroupedConv2d(dilation=0)
    with pytest.raises(ValueError, match=r"GroupedConv2d: expected b of shape \(2,\), found \(1,\)"):
        GroupedConv2d()(np.zeros((1, 4, 4, 2)), np.zeros((3, 3, 1, 2)), np.zeros(1))
    with pytest.raises(TypeError, match="GroupedConv2d: expected w to be floating point, found uint8"):
        GroupedConv2d()(np.zeros((1, 4, 4, 2)), np.zeros((3, 3, 1, 2), np.uint8))
