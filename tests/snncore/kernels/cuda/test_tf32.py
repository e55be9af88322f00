"""The input gradient by three products in TF32: to the bit on the double, and how far from float64 it is."""

import numpy as np
import pytest

from snncore.kernels import cuda, reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cuda import module, tf32
from tests.snncore.kernels.cuda import tf32_twin as twin
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


def assert_is(got, args):
    """The twin's bits on the double; on a card, whose order of eight terms is not known, no farther than it may be.

    A term loses 2^-22 of itself for low * low and 2^-23 for each factor at most (8 units), eight terms three times nine
    cuts and one of their sum, 2^-23 each (60), and the sums of these have one rounding each: the bound is what cannot
    be passed, not what is seen. In the mean it is about one unit; one product in TF32 would be off by a hundred.
    """
    assert got.dtype == f32
    if not ON_CARD:
        np.testing.assert_array_equal(got.view(np.uint32), twin.input_gradient(*args).view(np.uint32))
    eights = np.prod(args[1].shape[:2]) * -(-args[1].shape[3] // twin.EIGHT)
    off = (got - in_float64(*args)) / units(*args)
    assert abs(off).max() <= 68 + eights
    assert np.sqrt((off**2).mean()) < 4


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
    got = tf32.conv_backward_input(flat[1:].reshape(args[0].shape), up(gpu, args[1]), *args[2:]).get()
    assert_is(got, args)


def test_weights_in_another_order_and_no_images(gpu, rng):
    gy, w, shape, stride, padding = case(rng, *CASES[2])
    turned = up(gpu, np.ascontiguousarray(w.transpose(0, 1, 3, 2))).transpose(0, 1, 3, 2)
    got = tf32.conv_backward_input(up(gpu, gy), turned, shape, stride, padding).get()
    assert_is(got, (gy, w, shape, stride, padding))
    none = tf32.conv_backward_input(up(gpu, gy[:0]), up(gpu, w), (0, *shape[1:]), stride, padding)
    assert none.shape == (0, *shape[1:])


def test_both_parts_of_weights_make_them(gpu, rng):
    w = floats(rng, 3, 2, 70, 18) * np.exp(5 * rng.standard_normal((3, 2, 70, 18))).astype(f32)
    parts = tf32.split_weights(up(gpu, w)).get()
    assert parts.shape == (2, 6, 2, 2, 64, 16)
    assert not (parts.view(np.uint32) & 0x1FFF).any()  # ten bits of mantissa
    whole = parts.astype(float).sum(3).transpose(1, 2, 3, 0, 4).reshape(3, 2, 128, 32)
    assert not whole[:, :, 70:].any()
    assert not whole[..., 18:].any()
    assert (abs(whole[:, :, :70, :18] - w) <= 2.0**-23 * abs(w)).all()
    high, low = twin.split(w)
    np.testing.assert_array_equal(parts[0, 4, 1, :, :6, 3], [p[2, 0, 64:, 3] for p in (high, low)])


def test_what_is_not_finite_stays_so_and_spreads_no_farther(gpu, rng):
    gy, w, *layer = case(rng, (3, 3), (1, 1), (1, 1), (6, 5), (20, 8))
    clean = tf32.conv_backward_input(up(gpu, gy), up(gpu, w), *layer).get()
    for bad in (
        np.inf,
        -np.inf,
        np.nan,
        np.uint32(0x7FFFFFFF).view(f32),
        np.uint32(0xFF800001).view(f32),
        f32(3.4028e38),
    ):
        spoilt = gy.copy()
        spoilt[1, 3, 2, 7] = bad
        got = tf32.conv_backward_input(up(gpu, spoilt), up(gpu, w), *layer).get()
        reached = np.zeros(clean.shape, bool)
        reached[1, 2:5, 1:4] = True
        assert not np.isfinite(got[reached]).any(), bad
        np.testing.assert_array_equal(got[~reached], clean[~reached])
    spoilt = w.copy()
    spoilt[1, 1, 5, 3] = np.inf
    got = tf32.conv_backward_input(up(gpu, gy), up(gpu, spoilt), *layer).get()
    assert not np.isfinite(got[..., 5]).any()
    np.testing.assert_array_equal(np.delete(got, 5, -1), np.delete(clean, 5, -1))


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e6, 1e30])
def test_the_scale_of_a_gradient_does_not_matter(gpu, rng, scale):
    gy, *rest = case(rng, (3, 3), (1, 1), (1, 1), (4, 4), (16, 16))
    assert_is(
        tf32.conv_backward_input(up(gpu, gy * f32(scale)), up(gpu, rest[0]), *rest[1:]).get(), (gy * f32(scale), *rest)
    )


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "one sign"])
@pytest.mark.parametrize("add", [twin.one_by_one, twin.truncated])
def test_it_errs_less_than_float32(rng, add, kind):
    """Against float64, 576 terms: on any card that adds eight terms at least as well as `truncated`."""
    gy, w, *layer = case(rng, (3, 3), (1, 1), (1, 1), (6, 6), (24, 64))
    if kind == "heavy tails":  # as gradients are: the largest is a million times the median
        gy = (1e-6 * gy * np.exp(3 * rng.standard_normal(gy.shape))).astype(f32)
    if kind == "one sign":
        gy, w = abs(gy), abs(w)
    right, unit = in_float64(gy, w, *layer), units(gy, w, *layer)
    ours, plain = (
        (x - right) / unit for x in (twin.input_gradient(gy, w, *layer, add), twin.float32_gradient(gy, w, *layer))
    )
    assert np.sqrt((ours**2).mean()) < 0.6 * np.sqrt((plain**2).mean())
    assert abs(ours).max() < abs(plain).max()


def test_one_product_in_tf32_would_err_a_thousand_times_more(rng):
    gy, w, *layer = case(rng, (3, 3), (1, 1), (1, 1), (4, 4), (8, 64))
    one = in_float64(twin.round_tf32(gy), twin.round_tf32(w), *layer)
    off = [abs(x - in_float64(gy, w, *layer)).max() for x in (one, twin.input_gradient(gy, w, *layer))]
    assert off[0] > 500 * off[1]


def test_rounding_by_hand():
    x = np.array([1 + 2**-11, 1 + 2**-12, -1 - 2**-11, 1 + 3 * 2**-11, np.inf, 3.4028e38], f32)
    np.testing.assert_array_equal(
        twin.round_tf32(x), np.array([1 + 2**-10, 1, -1 - 2**-10, 1 + 2**-9, np.inf, np.inf], f32)
    )
    eight = np.array([[1, 3 * 2**-25, 0, 0, 0, 0, 0, 0]], f32)
    assert twin.one_by_one(np.zeros((1, 1), f32), eight, np.ones((8, 1), f32)) == f32(1 + 2**-23)
    assert twin.truncated(np.zeros((1, 1), f32), eight, np.ones((8, 1), f32)) == 1


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
        ("on", "75", (16, 16), False),  # cannot
        ("off", "90", (64, 64), False),
    ],
)
def test_who_takes_it(gpu, rng, monkeypatch, choice, card, channels, there):
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", choice)
    monkeypatch.setattr(gpu.cuda.Device, "compute_capability", card)
    names = launched(monkeypatch, gpu, case(rng, (1, 1), (1, 1), (0, 0), (2, 2), channels))
    assert any(name.startswith("tf32_gradient") for name in names) == there


@pytest.mark.skipif(ON_CARD, reason="the double says what card it is")
def test_who_asks_for_events_has_cublas(gpu, rng, monkeypatch):
    args = case(rng, (1, 1), (1, 1), (0, 0), (2, 2), (16, 16))
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", "auto")
    assert any("tf32" in name for name in launched(monkeypatch, gpu, args))
    with use_kernels("event"):
        assert not any("tf32" in name for name in launched(monkeypatch, gpu, args))


def test_images_that_are_too_large_to_be_counted_have_cublas():
    gy, w = np.zeros((1, 1, 1, 1), f32), np.zeros((1, 1, 1, 1), f32)
    wide = np.lib.stride_tricks.as_strided(gy, (1, 1, 8193, 1), (0, 0, 0, 0))
    assert not tf32.takes(wide, w, (1, 1, 8193, 1))
    assert not tf32.takes(gy, w, (1 << 20, 33, 33, 1))
