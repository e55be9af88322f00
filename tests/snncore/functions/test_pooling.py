"""Pooling against naive loops and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore import check_gradients
from snncore.functions import AvgPool2d, GlobalAvgPool, MaxPool2d
from tests.reference import pooling
from tests.snncore.calls import differentiate

SIZES = [  # (H, W), kernel, stride
    ((4, 4), (2, 2), (2, 2)),
    ((5, 7), (2, 2), (2, 2)),  # odd: the last row and column are left out
    ((5, 6), (3, 2), (1, 2)),  # overlapping windows
    ((3, 3), (3, 3), (1, 1)),
    ((7, 5), (1, 2), (3, 1)),
]


def test_windows_worked_out_by_hand():
    x = np.array([[1.0, 5.0, 2.0], [5.0, 3.0, 9.0]]).reshape(1, 2, 3, 1)
    gy = np.array([10.0]).reshape(1, 1, 1, 1)
    (y,), (gx,) = differentiate(MaxPool2d(2), [x], [gy])
    assert y.item() == 5.0
    assert gx.ravel().tolist() == [0, 10, 0, 0, 0, 0]  # the first 5 in reading order
    (y,), (gx,) = differentiate(AvgPool2d(2), [x], [gy])
    assert y.item() == 3.5
    assert gx.ravel().tolist() == [2.5, 2.5, 0, 2.5, 2.5, 0]
    (y,), (gx,) = differentiate(GlobalAvgPool(), [x], [np.array([[12.0]])])
    assert y.item() == pytest.approx(25 / 6, rel=1e-15)
    assert gx.ravel().tolist() == [2] * 6


@pytest.mark.parametrize(("size", "kernel", "stride"), SIZES)
def test_pooling_gradients_are_the_derivatives(rng, size, kernel, stride):
    x = rng.permutation(np.arange(2 * size[0] * size[1] * 2) / 10.0).reshape(2, *size, 2)  # no two entries equal
    check_gradients(MaxPool2d(kernel, stride), [x], rtol=1e-8, atol=1e-9)
    check_gradients(AvgPool2d(kernel, stride), [x], rtol=1e-8, atol=1e-9)
    check_gradients(GlobalAvgPool(), [x], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 1), ((3, 2), (1, 2), (1, 0)), (3, 2, 1)])
def test_a_padded_mean_counts_its_zeros_among_its_pixels(rng, kernel, stride, padding):
    """As a mean of images that were padded by hand; counted are the pixels alone."""
    ph, pw = padding if isinstance(padding, tuple) else (padding, padding)
    x = rng.normal(size=(2, 5, 4, 3))
    pool = AvgPool2d(kernel, stride, dtype=np.float64, padding=padding)
    wide = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    np.testing.assert_allclose(pool(x).data, AvgPool2d(kernel, stride)(wide).data, rtol=0, atol=1e-15)
    check_gradients(pool, [x], rtol=1e-8, atol=1e-9)
    spikes = rng.integers(0, 3, x.shape, np.uint8)
    np.testing.assert_allclose(pool(spikes).data, pool(spikes.astype(np.float64)).data, rtol=0, atol=1e-15)
    of_spikes, of_floats = (pool.cost((v,), (pool(v).data,)).totals() for v in (spikes, x))
    inside = AvgPool2d(kernel, stride)(np.pad(np.ones_like(x), ((0, 0), (ph, ph), (pw, pw), (0, 0)))).data
    pixels = round(float((inside * np.prod(pool.kernel)).sum()))  # of all windows
    assert of_floats["pool_add"] == pixels - inside.size
    events = AvgPool2d(kernel, stride)(np.pad((spikes > 0) * 1.0, ((0, 0), (ph, ph), (pw, pw), (0, 0)))).data
    assert of_spikes["pool_add"] == round(float((events * np.prod(pool.kernel)).sum()))
    with pytest.raises(ValueError, match="padding: expected at most half the kernel"):
        AvgPool2d(2, padding=2)


@st.composite
def problems(draw):
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    size = [draw(st.integers(k, 7)) for k in kernel]
    shape = (draw(st.integers(1, 2)), *size, draw(st.integers(1, 3)))
    values = draw(st.sampled_from(["no spikes", "spikes", "all ones", "counts", "analog"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = {
        "no spikes": np.zeros(shape, np.uint8),
        "spikes": rng.integers(0, 2, shape, np.uint8),
        "all ones": np.ones(shape, np.uint8),
        "counts": rng.integers(0, 3, shape, np.uint8),
        "analog": rng.standard_normal(shape),
    }[values]
    return x, kernel, stride, rng


@given(problems())
def test_max_pooling_equals_naive_loops_and_gives_ties_to_the_first(problem):
    x, kernel, stride, rng = problem
    expected = pooling.max_pool(x, kernel, stride)
    gy = rng.standard_normal(expected.shape)
    (y,), (gx,) = differentiate(MaxPool2d(kernel, stride), [x], [gy])
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(gx, pooling.max_pool_gradient(x, gy, kernel, stride), rtol=0, atol=1e-14)


@given(problems())
def test_average_pooling_equals_naive_loops(problem):
    x, kernel, stride, rng = problem
    expected = pooling.avg_pool(x, kernel, stride)
    gy = rng.standard_normal(expected.shape)
    (y,), (gx,) = differentiate(AvgPool2d(kernel, stride, dtype=np.float64), [x], [gy])
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(gx, pooling.avg_pool_gradient(x.shape, gy, kernel, stride), rtol=0, atol=1e-14)


@given(problems())
def test_global_average_pooling_is_the_mean_over_pixels(problem):
    x, _, _, rng = problem
    gy = rng.standard_normal((len(x), x.shape[-1]))
    (y,), (gx,) = differentiate(GlobalAvgPool(np.float64), [x], [gy])
    np.testing.assert_allclose(y, x.astype(np.float64).mean(axis=(1, 2)), rtol=0, atol=1e-14)
    np.testing.assert_array_equal(gx, np.broadcast_to((gy / (x.shape[1] * x.shape[2]))[:, None, None], x.shape))


@pytest.mark.parametrize("pool", [MaxPool2d(2), AvgPool2d(2), GlobalAvgPool()])
def test_timesteps_and_samples_are_pooled_alike(rng, pool):
    x = rng.standard_normal((3, 2, 5, 4, 2))
    together = pool(x).data
    np.testing.assert_array_equal(together, np.stack([pool(x[t]).data for t in range(3)]))


@pytest.mark.parametrize("pool", [MaxPool2d((3, 2)), AvgPool2d((3, 2))])
@pytest.mark.parametrize("shape", [(1, 2, 4, 1), (1, 4, 1, 1), (4, 4, 1)])
def test_images_smaller_than_the_window_are_refused_and_named(pool, shape):
    with pytest.raises(ValueError, match=rf"{pool.name}: .* of at least \(3, 2\) pixels, found \({shape[0]}, "):
        pool(np.zeros(shape))


def test_global_pooling_of_too_few_axes_is_refused():
    with pytest.raises(ValueError, match=r"GlobalAvgPool: .*found \(4, 2\)"):
        GlobalAvgPool()(np.zeros((4, 2)))


@pytest.mark.parametrize("spikes", [True, False])
def test_padding_is_never_the_largest_and_takes_no_gradient(spikes):
    x = np.array([[0, 0], [0, 1]] if spikes else [[-2, -1], [-3, -4]]).reshape(1, 2, 2, 1)
    x = x.astype(np.uint8 if spikes else np.float32)
    gy = np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1)
    (y,), (gx,) = differentiate(MaxPool2d(2, 1, 1), [x], [gy])
    assert y.dtype == x.dtype
    if spikes:  # of equal zeros the first pixel of the image takes the gradient, not the padding
        assert y.ravel().tolist() == [0, 0, 0, 0, 1, 1, 0, 1, 1]
        assert gx.ravel().tolist() == [1 + 2 + 4, 3, 7, 5 + 6 + 8 + 9]
    else:
        assert y.ravel().tolist() == [-2, -1, -1, -2, -1, -1, -3, -3, -4]
        assert gx.ravel().tolist() == [1 + 4, 2 + 3 + 5 + 6, 7 + 8, 9]


@pytest.mark.parametrize("values", [2, 3, 256])
@given(
    st.tuples(st.integers(1, 2), st.integers(2, 6), st.integers(2, 6), st.integers(1, 3)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(0, 2**32 - 1),
)
def test_padded_windows_equal_naive_loops(values, shape, kernel, stride, seed):
    rng = np.random.default_rng(seed)
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    if any(n + 2 * p < k for n, p, k in zip(shape[1:3], padding, kernel, strict=True)):
        return
    x = rng.integers(0, values, shape).astype(np.uint8)
    expected = pooling.max_pool(x, kernel, stride, padding)
    gy = rng.integers(-8, 9, expected.shape).astype(np.float32)  # integers: sums are exact in any order
    right = pooling.max_pool_gradient(x, gy, kernel, stride, padding)
    for images in (x, x.astype(np.float32) - 7):
        (y,), (gx,) = differentiate(MaxPool2d(kernel, stride, padding), [images], [gy])
        np.testing.assert_array_equal(y, expected - (0 if images is x else 7))
        np.testing.assert_array_equal(gx, right)


def test_padding_is_never_the_largest_of_signed_integers(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")  # nothing else takes them without compiling
    x = np.array([[-2, -1], [-3, -128]], np.int8).reshape(1, 2, 2, 1)
    (y,), (gx,) = differentiate(MaxPool2d(2, 1, 1), [x], [np.ones((1, 3, 3, 1))])
    assert y.ravel().tolist() == [-2, -1, -1, -2, -1, -1, -3, -3, -128]
    assert gx.ravel().tolist() == [2, 4, 2, 1]


def test_padded_pooling_gradient_is_the_derivative(rng):
    x = rng.permutation(np.arange(60) / 10.0 - 3).reshape(1, 5, 6, 2)  # no two entries equal
    check_gradients(MaxPool2d(3, 2, 1), [x], rtol=1e-8, atol=1e-9)


def test_padding_wider_than_half_the_window_is_refused():
    with pytest.raises(ValueError, match=r"padding: expected at most half the kernel of \(3, 2\), found \(2, 1\)"):
        MaxPool2d((3, 2), 1, (2, 1))
    with pytest.raises(ValueError, match=r"at least \(4, 4\) pixels, found \(1, 1, 1, 1\) with a padding of \(1, 1\)"):
        MaxPool2d(4, 1, 1)(np.ones((1, 1, 1, 1)))


@pytest.mark.parametrize("choice", ["auto", "reference"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_of_equal_entries_the_first_alone_gets_the_gradient(monkeypatch, choice, dtype):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    x = np.array([[1, 1, 0, 1], [1, 0, 1, 1]], dtype).reshape(1, 1, 2, 4, 1)
    gy = np.array([3.0, 5.0], np.float32).reshape(1, 1, 1, 2, 1)
    _, (gx,) = differentiate(MaxPool2d(2), [x], [gy])
    assert gx.reshape(2, 4).tolist() == [[3, 0, 0, 5], [0, 0, 0, 0]]
