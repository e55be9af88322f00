"""The input gradient by three products of halves: to the bit on the double, and how far from float64 it is."""

import numpy as np
import pytest

from snncore.kernels import cuda, reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cuda import halves, module
from tests.snncore.kernels.cuda import halves_twin as twin
from tests.snncore.kernels.cuda.conftest import ON_CARD
from tests.snncore.kernels.cuda.pairs import SIZES, both, floats, up

f32 = np.float32
CASES = [  # kernel, stride, padding, pixels, channels of x and of gy
    ((3, 3), (1, 1), (1, 1), (6, 5), (64, 64)),
    ((3, 3), (1, 1), (0, 0), (12, 12), (65, 31)),  # three blocks of pixels, two of channels
    ((3, 3), (2, 2), (1, 1), (7, 6), (33, 20)),
    ((2, 3), (2, 1), (0, 2), (6, 5), (70, 17)),
    ((1, 1), (2, 2), (0, 0), (5, 5), (5, 3)),  # three of four pixels go nowhere
    ((5, 4), (3, 2), (2, 1), (9, 8), (16, 48)),
    ((1, 2), (3, 4), (0, 3), (2, 3), (8, 16)),  # strides longer than the image
    ((3, 3), (1, 1), (1, 1), (17, 8), (40, 20)),
    ((3, 5), (2, 2), (1, 2), (10, 16), (16, 20)),
    ((4, 4), (1, 1), (0, 0), (5, 4), (8, 16)),  # one window a line
    ((1, 7), (1, 1), (0, 3), (3, 2), (8, 16)),  # more taps than pixels of a line
    ((2, 2), (1, 1), (1, 1), (70, 1), (8, 36)),  # a pixel a line, but two windows
]


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", "on")


def case(rng, kernel, stride, padding, pixels, channels, images=2):
    """(gy, w, shape of x, stride, padding)."""
    shape = (images, *pixels, channels[0])
    w = floats(rng, *kernel, *channels, mean=0, std=0.1)
    out = reference.conv_forward(np.zeros(shape, f32), w, stride, padding).shape
    return floats(rng, *out, mean=0), w, shape, stride, padding


def in_float64(gy, w, *layer):
    return reference.conv_backward_input(gy.astype(float), w.astype(float), *layer)


def units(gy, w, *layer):
    """Of each entry: 2^-24 of the sum of the magnitudes of its terms, which is how float32 errs."""
    return 2.0**-24 * in_float64(abs(gy), abs(w), *layer) + 1e-45


def lost(gy, w, *layer):
    """Of each entry: what halves may lose at their end, 2^-39 of the largest magnitude of a pixel or a channel."""
    of_pixel = np.broadcast_to(np.maximum(abs(gy).max(-1, keepdims=True), 2.0**-96), gy.shape)
    of_channel = np.broadcast_to(np.maximum(abs(w).max((0, 1, 3)), 2.0**-128)[:, None], w.shape)
    other = in_float64(of_pixel, abs(w) + 2.0**-39 * of_channel, *layer) + in_float64(abs(gy), of_channel, *layer)
    return 2.0**-39 * other


def assert_is(got, args):
    """The twin's bits on the double; on a card, whose order of 16 terms is not known, no farther than it may be.

    A term loses 2^-22 of itself for low * low and 2^-23 for each factor at most (8 units). Of 16 terms, the sums before
    high * high are 2^-10 of what follows, whose 17 cuts and one of their sum are 2^-23 each (36.1), and the sums of
    these have one rounding each: the bound is what cannot be passed, not what is seen. In the mean it is about one
    unit; one product of halves would be off by thousands.
    """
    assert got.dtype == f32
    if not ON_CARD:
        np.testing.assert_array_equal(got.view(np.uint32), twin.input_gradient(*args).view(np.uint32))
    steps = np.prod(args[1].shape[:2]) * -(-args[1].shape[3] // twin.DEEP)
    error, unit = got - in_float64(*args), units(*args)
    assert (abs(error) <= (45 + steps) * unit + lost(*args)).all()
    assert np.sqrt(((error / unit) ** 2).mean()) < 4


@pytest.mark.parametrize("layer", CASES, ids=str)
def test_it_is_the_twin(gpu, rng, layer):
    args = case(rng, *layer)
    _, (got,) = both(gpu, "conv_backward_input", *args)
    assert_is(got, args)


@pytest.mark.parametrize("channels", SIZES)
def test_odd_numbers_of_channels(gpu, rng, channels):
    for pair in ((channels, 2), (2, channels)):
        args = case(rng, (2, 2), (1, 1), (1, 0), (4, 3), pair)
        _, (got,) = both(gpu, "conv_backward_input", *args)
        assert_is(got, args)


def test_a_gradient_that_does_not_begin_at_16_bytes(gpu, rng):
    args = case(rng, *CASES[0])
    flat = up(gpu, np.concatenate([np.zeros(1, f32), args[0].ravel()]))
    got = halves.conv_backward_input(flat[1:].reshape(args[0].shape), up(gpu, args[1]), *args[2:]).get()
    assert_is(got, args)


def test_weights_in_another_order_and_no_images(gpu, rng):
    gy, w, shape, stride, padding = case(rng, *CASES[2])
    turned = up(gpu, np.ascontiguousarray(w.transpose(0, 1, 3, 2))).transpose(0, 1, 3, 2)
    got = halves.conv_backward_input(up(gpu, gy), turned, shape, stride, padding).get()
    assert_is(got, (gy, w, shape, stride, padding))
    none = halves.conv_backward_input(up(gpu, gy[:0]), up(gpu, w), (0, *shape[1:]), stride, padding)
    assert none.shape == (0, *shape[1:])


def spread(rng, *shape):
    """Float32 over many powers of two."""
    return (rng.standard_normal(shape) * np.exp(5 * rng.standard_normal(shape))).astype(f32)


def assert_both_make_it(high, low, scale, x, most):
    """Both parts, float64, without their power make x; scale: as the kernel wrote it."""
    top = np.maximum(abs(x), 2.0**-16 * most)  # 2^-39 of the largest is 2^-23 of this
    assert (abs((high + low) * scale - x) <= 2.0**-23 * top).all()
    assert (abs(low * scale) <= 2.0**-11 * top).all()
    assert 2.0**14 <= abs(high).max() <= 2.0**15


def test_both_parts_of_weights_make_them(gpu, rng):
    w = spread(rng, 3, 2, 70, 18)
    w[..., 4, :] = 0
    _, _, parts, scale = (x.get() for x in halves.split(up(gpu, np.zeros((1, 1, 1, 18), f32)), up(gpu, w)))
    assert (parts.shape, scale.shape) == ((2, 6, 2, 64, 2, 16), (2, 64))
    whole = parts.view(np.float16).astype(float).transpose(4, 1, 2, 3, 0, 5).reshape(2, 3, 2, 128, 32)
    assert not whole[:, :, :, 70:].any()
    assert not whole[..., 18:].any()
    assert not whole[:, :, :, 4].any()
    high, low = whole[:, :, :, :70, :18]
    for ci in np.delete(np.arange(70), 4):
        x = w[:, :, ci]
        assert_both_make_it(high[:, :, ci], low[:, :, ci], 2.0**-16 * scale.ravel()[ci], x, abs(x).max())
    parts, scale = twin.parts_of_weights(w)
    np.testing.assert_array_equal((high, low), parts)


@pytest.mark.parametrize("channels", [1, 6, 20, 64, 272])  # one lane a pixel; two and eight; 34 eights for 16 lanes
def test_both_parts_of_a_gradient_make_it(gpu, rng, channels):
    gy = spread(rng, 2, 3, 3, channels)
    gy[1, 1] = 0
    gy[0, 2] *= f32(1e-20)
    parts, scale, *_ = (x.get() for x in halves.split(up(gpu, gy), up(gpu, np.zeros((1, 1, 1, gy.shape[3]), f32))))
    deep = -(-channels // 16)
    assert (parts.shape, scale.shape) == ((deep, 2, 2, 18, 8), (2, 3, 3))
    whole = parts.view(np.float16).astype(float).transpose(1, 3, 0, 2, 4).reshape(2, 2, 3, 3, 16 * deep)
    assert not whole[..., channels:].any()
    high, low = whole[..., :channels]
    np.testing.assert_array_equal((high, low), twin.parts_of_gradient(gy)[0])
    for at in np.ndindex(scale.shape):
        if at[:2] == (1, 1):
            assert not whole[(slice(None), *at)].any()
        else:
            assert_both_make_it(high[at], low[at], 2.0**16 * scale[at], gy[at], abs(gy[at]).max())


def test_halves_end_where_it_is_said(gpu):
    """Beside a number of 1, one of 2^-20 has 19 bits left: 2^-39 is the place of the last."""
    gy = np.zeros((1, 1, 1, 16), f32)
    gy[..., 0], gy[..., 1] = 1, 2.0**-20 * (1 + 2.0**-18 + 2.0**-20)
    for first, kept in ((1, 2.0**-20 * (1 + 2.0**-18)), (0, gy[0, 0, 0, 1])):
        gy[..., 0] = first
        parts, scale, *_ = (x.get() for x in halves.split(up(gpu, gy), up(gpu, np.zeros((1, 1, 1, gy.shape[3]), f32))))
        assert parts.view(np.float16)[0, :, 0, 0, 1].astype(float).sum() * scale[0, 0, 0] * 2.0**16 == kept


@pytest.mark.parametrize("width", [5, 4])
def test_what_is_not_finite_stays_so_and_spreads_no_farther(gpu, rng, width):
    gy, w, *layer = case(rng, (3, 3), (1, 1), (1, 1), (6, width), (20, 8))
    clean = halves.conv_backward_input(up(gpu, gy), up(gpu, w), *layer).get()
    for bad in (np.inf, -np.inf, np.nan, np.uint32(0x7FFFFFFF).view(f32), np.uint32(0xFF800001).view(f32)):
        spoilt = gy.copy()
        spoilt[1, 3, 2, 7] = bad
        got = halves.conv_backward_input(up(gpu, spoilt), up(gpu, w), *layer).get()
        reached = np.zeros(clean.shape, bool)
        reached[1, 2:5, 1:4] = True  # of 4 pixels a line, to its end: the next begins clean
        assert np.isnan(got[reached]).all(), bad
        np.testing.assert_array_equal(got[~reached], clean[~reached])
    for bad in (np.inf, np.nan, f32(2.0**126)):
        spoilt = w.copy()
        spoilt[1, 1, 5, 3] = bad
        got = halves.conv_backward_input(up(gpu, gy), up(gpu, spoilt), *layer).get()
        assert np.isnan(got[..., 5]).all()
        np.testing.assert_array_equal(np.delete(got, 5, -1), np.delete(clean, 5, -1))


def test_the_largest_float32_is_finite(gpu, rng):
    gy, w, *layer = case(rng, (3, 3), (1, 1), (1, 1), (6, 5), (20, 8))
    gy[1, 3, 2, 7] = np.finfo(f32).max
    assert_is(halves.conv_backward_input(up(gpu, gy), up(gpu, w), *layer).get(), (gy, w, *layer))


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e6, 1e30])
def test_the_scale_of_a_gradient_does_not_matter(gpu, rng, scale):
    gy, *rest = case(rng, (3, 3), (1, 1), (1, 1), (4, 4), (16, 16))
    args = gy * f32(scale), *rest
    assert_is(halves.conv_backward_input(up(gpu, args[0]), up(gpu, rest[0]), *rest[1:]).get(), args)


def test_each_pixel_and_each_channel_has_its_own_scale(gpu, rng):
    gy, w, *layer = case(rng, (2, 2), (1, 1), (0, 0), (6, 6), (16, 16))
    gy *= np.exp(20 * rng.uniform(-1, 1, (*gy.shape[:3], 1))).astype(f32)
    w *= np.exp(20 * rng.uniform(-1, 1, (16, 1))).astype(f32)
    assert_is(halves.conv_backward_input(up(gpu, gy), up(gpu, w), *layer).get(), (gy, w, *layer))


def test_how_many_blocks_run_at_once_changes_no_bit(gpu, rng, monkeypatch):
    args = case(rng, (3, 3), (1, 1), (1, 1), (20, 8), (65, 20))
    before = halves.conv_backward_input(up(gpu, args[0]), up(gpu, args[1]), *args[2:]).get()
    monkeypatch.setattr(halves, "FEW_BLOCKS", 0)
    monkeypatch.setattr(halves, "MOST_BLOCKS", 3)
    got = halves.conv_backward_input(up(gpu, args[0]), up(gpu, args[1]), *args[2:]).get()
    np.testing.assert_array_equal(got, before)


def test_few_blocks_have_more_registers():
    assert halves.defines_for(3 * 132, 132) == "#define BLOCKS 3\n"
    assert halves.defines_for(3 * 132 + 1, 132) == ""


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "one sign"])
@pytest.mark.parametrize("add", [twin.one_by_one, twin.truncated])
def test_it_errs_less_than_float32(rng, add, kind):
    """Against float64, 576 terms: on any card that adds 16 terms at least as well as `truncated`."""
    gy, w, *layer = case(rng, (3, 3), (1, 1), (1, 1), (6, 6), (24, 64))
    if kind == "heavy tails":  # as gradients are: the largest is a million times the median
        gy = (1e-6 * gy * np.exp(3 * rng.standard_normal(gy.shape))).astype(f32)
    if kind == "one sign":
        gy, w = abs(gy), abs(w)
    right, unit = in_float64(gy, w, *layer), units(gy, w, *layer)
    ours, plain = (
        (x - right) / unit for x in (twin.input_gradient(gy, w, *layer, add), twin.float32_gradient(gy, w, *layer))
    )
    assert np.sqrt((ours**2).mean()) < 0.7 * np.sqrt((plain**2).mean())
    assert abs(ours).max() < abs(plain).max()


def test_one_product_of_halves_would_err_a_thousand_times_more(rng):
    gy, w, *layer = case(rng, (3, 3), (1, 1), (1, 1), (4, 4), (8, 64))
    one = in_float64(gy.astype(np.float16), w.astype(np.float16), *layer)
    off = [abs(x - in_float64(gy, w, *layer)).max() for x in (one, twin.input_gradient(gy, w, *layer))]
    assert off[0] > 500 * off[1]


def test_sums_by_hand():
    two = np.array([[1, 3 * 2**-25] + 14 * [0]], f32)
    assert twin.one_by_one(np.zeros((1, 1), f32), two, np.ones((16, 1), f32)) == f32(1 + 2**-23)
    assert twin.truncated(np.zeros((1, 1), f32), two, np.ones((16, 1), f32)) == 1
    (high, low), scale = twin.parts_of_gradient(np.array([[3, 1 + 2**-12, 2**-30]], f32))  # the largest is 3 * 2^13
    assert (scale == 2.0**-29).all()
    np.testing.assert_array_equal(high, [[3 * 2**13, 2**13, 2.0**-17]])
    np.testing.assert_array_equal(low, [[0, 2, 0]])


def launched(monkeypatch, gpu, args):
    """Names of the kernels that an input gradient launches."""
    names = []
    find = module._kernel
    monkeypatch.setattr(module, "_kernel", lambda *key: names.append(key[2]) or find(*key))
    cuda.conv_backward_input(*(up(gpu, a) for a in args))
    monkeypatch.setattr(module, "_kernel", find)
    return names


@pytest.mark.skipif(ON_CARD, reason="the double says what card it is")
@pytest.mark.parametrize(
    ("choice", "card", "channels", "there"),
    [
        ("auto", "90", (16, 16), True),
        ("auto", "80", (64, 16), False),  # not seen
        ("auto", "90", (15, 64), False),
        ("auto", "90", (64, 15), False),
        ("on", "86", (3, 2), True),
        ("on", "75", (16, 16), True),
        ("on", "70", (16, 16), False),  # has other products
        ("off", "90", (64, 64), False),
    ],
)
def test_who_takes_it(gpu, rng, monkeypatch, choice, card, channels, there):
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", choice)
    monkeypatch.setattr(gpu.cuda.Device, "compute_capability", card)
    names = launched(monkeypatch, gpu, case(rng, (1, 1), (1, 1), (0, 0), (2, 2), channels))
    assert any(name.startswith("halves_") for name in names) == there


@pytest.mark.skipif(ON_CARD, reason="the double says what card it is")
def test_who_asks_for_events_has_cublas(gpu, rng, monkeypatch):
    args = case(rng, (1, 1), (1, 1), (0, 0), (2, 2), (16, 16))
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", "auto")
    assert any("halves" in name for name in launched(monkeypatch, gpu, args))
    with use_kernels("event"):
        assert not any("halves" in name for name in launched(monkeypatch, gpu, args))


def test_images_that_are_too_large_to_be_counted_have_cublas():
    gy, w = np.zeros((1, 1, 1, 1), f32), np.zeros((1, 1, 1, 1), f32)
    wide = np.lib.stride_tricks.as_strided(gy, (1, 1, 8193, 1), (0, 0, 0, 0))
    assert not halves.takes(wide, w, (1, 1, 8193, 1))
    assert not halves.takes(gy, w, (1 << 20, 33, 33, 1))
