"""Convolution against naive loops and finite differences, from spikes and from analog input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore import check_gradients
from snncore.functions import Conv2d
from tests.reference.conv import conv2d, conv2d_gradients
from tests.snncore.calls import differentiate

SIZES = [  # (H, W), kernel, stride, padding
    ((4, 4), (3, 3), (1, 1), (1, 1)),
    ((5, 7), (3, 3), (2, 2), (1, 1)),
    ((6, 5), (1, 1), (1, 1), (0, 0)),
    ((6, 5), (1, 1), (2, 2), (0, 0)),
    ((4, 6), (2, 3), (1, 2), (0, 1)),
    ((5, 5), (3, 1), (3, 1), (2, 0)),
    ((3, 3), (3, 3), (1, 1), (0, 0)),
    ((2, 2), (3, 3), (1, 1), (3, 3)),  # padding as wide as the window: whole windows of zeros
    ((7, 7), (2, 2), (3, 3), (0, 0)),  # a stride wider than the window leaves pixels out
]


def test_a_window_worked_out_by_hand():
    # 2x2 image, 2x2 window turned over nothing: 1*1 + 2*10 + 3*100 + 4*1000
    x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    w = np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(2, 2, 1, 1)
    (y,), (gx, gw) = differentiate(Conv2d(), [x, w], [np.full((1, 1, 1, 1), 2.0)])
    assert y.item() == 4321
    np.testing.assert_array_equal(gx.ravel(), 2 * w.ravel())
    np.testing.assert_array_equal(gw.ravel(), 2 * x.ravel())


@pytest.mark.parametrize("as_spikes", [False, True])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), SIZES)
def test_conv2d_equals_naive_loops_forward_and_back(rng, size, kernel, stride, padding, as_spikes):
    x = rng.integers(0, 3, (2, *size, 3)).astype(np.uint8) if as_spikes else rng.standard_normal((2, *size, 3))
    w, b = rng.standard_normal((*kernel, 3, 2)), rng.standard_normal(2)
    expected = conv2d(x, w, stride, padding)
    gy = rng.standard_normal(expected.shape)
    gx, gw = conv2d_gradients(x, w, gy, stride, padding)
    (y,), gradients = differentiate(Conv2d(stride, padding), [x, w, b], [gy])
    np.testing.assert_allclose(y, expected + b, rtol=0, atol=1e-12)
    for found, right in zip(gradients, (gx, gw, gy.sum(axis=(0, 1, 2))), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), SIZES)
def test_conv2d_gradient_is_the_derivative(rng, size, kernel, stride, padding):
    x, w, b = rng.standard_normal((2, *size, 1)), rng.standard_normal((*kernel, 1, 2)), rng.standard_normal(2)
    check_gradients(Conv2d(stride, padding), [x, w, b], names=["x", "w", "b"], full=False, rtol=1e-8, atol=1e-8)
    check_gradients(Conv2d(stride, padding), [x[:1], w, b], names=["x", "w", "b"], rtol=1e-8, atol=1e-9)


@st.composite
def problems(draw):
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    size = [draw(st.integers(max(1, k - 2 * p), 7)) for k, p in zip(kernel, padding, strict=True)]
    images, ci, co = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))  # no spikes at all, few, many, all ones
    return (images, *size, ci), (*kernel, ci, co), stride, padding, density, draw(st.integers(0, 2**32 - 1))


@given(problems())
def test_spikes_of_any_shape_and_density_give_what_naive_loops_give(problem):
    x_shape, w_shape, stride, padding, density, seed = problem
    rng = np.random.default_rng(seed)
    x = (rng.random(x_shape) < density).astype(np.uint8)
    w = rng.standard_normal(w_shape)
    expected = conv2d(x, w, stride, padding)
    gy = rng.standard_normal(expected.shape)
    right = conv2d_gradients(x, w, gy, stride, padding)
    (y,), gradients = differentiate(Conv2d(stride, padding), [x, w], [gy])
    for found, other in zip((y, *gradients), (expected, *right), strict=True):
        np.testing.assert_allclose(found, other, rtol=0, atol=1e-12)


@given(problems())
def test_forward_and_input_gradient_are_adjoint(problem):
    x_shape, w_shape, stride, padding, _, seed = problem
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    y = Conv2d(stride, padding)(x, w).data
    gy = rng.standard_normal(y.shape)
    _, (gx, gw) = differentiate(Conv2d(stride, padding), [x, w], [gy])
    np.testing.assert_allclose((gx * x).sum(), (gy * y).sum(), rtol=0, atol=1e-10)  # <gx, x> = <gy, conv x>
    np.testing.assert_allclose((gw * w).sum(), (gy * y).sum(), rtol=0, atol=1e-10)


def test_timesteps_and_samples_are_convolved_alike(rng):
    x, w = rng.standard_normal((3, 2, 5, 5, 2)), rng.standard_normal((3, 3, 2, 4))
    together = Conv2d(1, 1)(x, w).data
    one_by_one = np.stack([[Conv2d(1, 1)(x[t, n : n + 1], w).data[0] for n in range(2)] for t in range(3)])
    np.testing.assert_allclose(together, one_by_one, rtol=0, atol=1e-13)


def test_many_images_are_convolved_in_blocks_without_a_seam(rng, monkeypatch):
    from snncore.kernels.reference import conv

    x, w = rng.standard_normal((7, 5, 5, 2)), rng.standard_normal((3, 3, 2, 4))
    gy = rng.standard_normal((7, 5, 5, 4))
    whole = differentiate(Conv2d(1, 1), [x, w], [gy])
    monkeypatch.setattr(conv, "COLUMN_BYTES", 3 * 25 * 18 * 8)  # three images a block: 3 + 3 + 1
    blocks = differentiate(Conv2d(1, 1), [x, w], [gy])
    for found, expected in zip(blocks[0] + blocks[1], whole[0] + whole[1], strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_no_images_give_no_images_and_zero_gradients():
    x, w = np.zeros((0, 4, 4, 2), np.uint8), np.ones((3, 3, 2, 5), np.float32)
    (y,), (gx, gw) = differentiate(Conv2d(1, 1), [x, w], [np.zeros((0, 4, 4, 5), np.float32)])
    assert y.shape == (0, 4, 4, 5)
    assert gx.shape == x.shape
    np.testing.assert_array_equal(gw, np.zeros(w.shape))


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        ((1, 4, 4, 2), (3, 3, 3, 5), r"x \(1, 4, 4, 2\) and w \(3, 3, 3, 5\)"),
        ((4, 4, 2), (3, 3, 2, 5), r"x \(4, 4, 2\)"),
        ((1, 4, 4, 2), (3, 3, 2), r"w \(3, 3, 2\)"),
        ((1, 2, 4, 2), (3, 3, 2, 5), r"window of \(3, 3\) does not fit x \(1, 2, 4, 2\)"),
        ((1, 4, 2, 2), (3, 3, 2, 5), r"window of \(3, 3\) does not fit x \(1, 4, 2, 2\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_and_named(x, w, message):
    with pytest.raises(ValueError, match=message):
        Conv2d()(np.zeros(x), np.zeros(w))


def test_a_bias_of_another_length_is_refused_and_named():
    with pytest.raises(ValueError, match=r"\(2,\)"):
        Conv2d()(np.zeros((1, 4, 4, 2)), np.zeros((3, 3, 2, 5)), np.zeros(2))
    with pytest.raises(ValueError, match=r"\(1,\)"):  # would be broadcast over the five channels
        Conv2d()(np.zeros((1, 4, 4, 2)), np.zeros((3, 3, 2, 5)), np.zeros(1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"stride": 0}, "stride"), ({"padding": -1}, "padding"), ({"stride": (1, 2, 3)}, "stride")],
)
def test_impossible_strides_and_paddings_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"{message}: expected an integer of at least"):
        Conv2d(**settings)


@pytest.mark.parametrize(
    ("size", "kernel", "padding"), [((3, 4), (5, 4), (1, 0)), ((1, 2), (5, 4), (2, 1)), ((3, 1), (3, 3), (0, 1))]
)
def test_a_window_as_large_as_the_padded_image_fits_and_one_larger_does_not(rng, size, kernel, padding):
    x, w = rng.standard_normal((1, *size, 2)), rng.standard_normal((*kernel, 2, 3))
    assert Conv2d(padding=padding)(x, w).shape == (1, 1, 1, 3)
    for axis in range(2):
        smaller = np.delete(x, 0, axis=1 + axis)
        with pytest.raises(ValueError, match=r"does not fit|with pixels"):
            Conv2d(padding=padding)(smaller, w)
