"""Exact sums on the device: the bits of the reference, for which whole numbers of Python stand (../test_exact.py)."""

from unittest import mock

import numpy as np
import pytest

from snncore.kernels import cuda, reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cuda import exact, tensor_cores
from snncore.kernels.reference.exact import fixed_point
from tests.snncore.kernels.cuda.pairs import both, floats, up

LAYERS = [  # kernel, stride, padding
    ((3, 3), (1, 1), (1, 1)),
    ((2, 3), (2, 1), (0, 2)),
    ((1, 1), (2, 2), (0, 0)),
]


def weights(rng, kind, *shape):
    w = rng.standard_normal(shape)
    made = {
        "normal": w,
        "equal": np.ones(shape),  # sums that are powers of two: the last power that fits is one less
        "powers": np.sign(w) * 2.0 ** rng.integers(-30, 1, shape),
        "positive": abs(w),
        "sparse": w * (rng.random(shape) < 0.02),
        "subnormal": w * 2.0**-140,
        "large": w * 2.0**90,
    }[kind]
    made[..., -1] = 0  # a channel of zeros
    return made.astype(np.float32)


def spikes(rng, *shape, largest=2):
    x = rng.choice([0, 0, 0, 1, largest], shape).astype(np.uint8)
    x[-1, 0] = 0
    return x


def assert_same(pair):
    """Every bit, so that -0 is not 0."""
    (expected,), (got,) = pair
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("kind", ["normal", "equal", "powers", "positive", "sparse", "subnormal", "large"])
def test_weights_are_the_integers_of_the_reference(gpu, rng, kind):
    for shape in ((1, 1, 1, 1), (3, 3, 64, 9), (1, 2, 130, 17), (1, 1, 600, 3)):
        w = weights(rng, kind, *shape)
        q, scale, flags = (a.get() for a in exact.pack_whole(up(gpu, w)))
        fixed = fixed_point(w)
        assert not flags.any()
        np.testing.assert_array_equal(scale, fixed.scale)
        np.testing.assert_array_equal(q, fixed.q)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 3, 64, 9), (1, 2, 130, 33)])
def test_digits_are_those_of_the_integers(gpu, rng, shape):
    w = weights(rng, "normal", *shape)
    digits, scale, flags = (a.get() for a in exact.pack_digits(up(gpu, w)))
    fixed = fixed_point(w)
    assert not flags.any()
    np.testing.assert_array_equal(scale, fixed.scale)
    q = (digits.astype(np.int64) * 256 ** np.arange(4)[:, None, None]).sum(axis=2)  # [parts, taps, channels out, 64]
    q = q.transpose(1, 0, 3, 2).reshape(shape[0] * shape[1], -1, q.shape[2])
    np.testing.assert_array_equal(q[:, : shape[2], : shape[3]].reshape(shape), fixed.q)
    assert not q[:, shape[2] :].any()
    assert not q[:, :, shape[3] :].any()


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("channels", [(1, 1), (3, 5), (65, 33)])
@pytest.mark.parametrize("kind", ["spikes", "analog"])
def test_convolution(gpu, rng, kind, channels, layer):
    kernel, stride, padding = layer
    x = spikes(rng, 2, 5, 4, channels[0]) if kind == "spikes" else floats(rng, 2, 5, 4, channels[0])
    w = floats(rng, *kernel, *channels)
    assert_same(both(gpu, "exact_conv_forward", x, w, stride, padding))


@pytest.mark.parametrize(("pixels", "channels"), [((9, 10), (3, 33)), ((1, 1), (40, 5)), ((8, 8), (1, 64))])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_analog_input_of_more_pixels_and_terms_than_a_tile(gpu, rng, pixels, channels, dilation):
    x, w = floats(rng, 3, *pixels, channels[0]), floats(rng, 3, 2, *channels)
    x[0] = 0
    w[..., -1] = 0
    assert_same(both(gpu, "exact_grouped_conv_forward", x, w, (1, 1), (2, 1), dilation))


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_analog_input_with_weights_that_are_not_ordinary_is_summed_in_float32(gpu, rng):
    x, w = floats(rng, 3, 7, 7, 3), floats(rng, 3, 3, 3, 34)
    w[0, 1, 2, 33] = np.inf
    (expected,), (got,) = both(gpu, "exact_conv_forward", x, w, (1, 1), (1, 1))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


TENSOR_CORES = [(16, 1), (17, 33), (48, 64), (66, 20)]


def mma(gpu, *args):
    """The bits of the reference and of the device, where a kernel of exact_mma.cu must have run."""
    kernels = []
    own = exact.launch

    def launch(file, name, *rest, **keywords):
        kernels.append(file)
        own(file, name, *rest, **keywords)

    with mock.patch.object(exact, "launch", launch):
        found = both(gpu, "exact_conv_forward", *args)
    assert kernels == ["exact", "exact_mma"]
    return found


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("channels", TENSOR_CORES)
def test_tensor_cores(gpu, rng, channels, layer):
    """Pixels and channels that fill no tile, the last of a block and the first of another among them."""
    kernel, stride, padding = layer
    x = spikes(rng, 3, 9, 10, channels[0], largest=255)
    assert_same(mma(gpu, x, floats(rng, *kernel, *channels), stride, padding))


@pytest.mark.parametrize("channels", [64, 128, 256])
def test_tensor_cores_at_real_widths(gpu, rng, channels, request):
    if "races" in request.node.name and channels > 64:
        pytest.skip("every access of 64 channels is watched; more are the same code")
    x = (rng.random((2, 4, 3, channels)) < 0.2).astype(np.uint8)
    assert_same(mma(gpu, x, floats(rng, 3, 3, channels, channels, mean=0), (1, 1), (1, 1)))


def test_twice_as_many_warps_give_the_same_bits(gpu, rng, monkeypatch):
    """As cards have from Blackwell on."""
    monkeypatch.setattr(tensor_cores, "TALL", 2)
    for channels in ((17, 33), (48, 64)):
        x = spikes(rng, 3, 9, 10, channels[0], largest=255)
        assert_same(mma(gpu, x, floats(rng, 3, 3, *channels), (1, 1), (1, 1)))


@pytest.mark.parametrize("kind", ["equal", "positive", "sparse", "subnormal", "large"])
def test_tensor_cores_with_weights_of_every_kind(gpu, rng, kind):
    x = np.full((1, 4, 4, 70), 255, np.uint8)
    assert_same(mma(gpu, x, weights(rng, kind, 3, 3, 70, 6), (1, 1), (1, 1)))


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [np.nan, 2e30])
def test_tensor_cores_leave_weights_that_are_not_ordinary_to_float32(gpu, rng, bad):
    x, w = spikes(rng, 3, 7, 7, 20), floats(rng, 3, 3, 20, 34)
    w[0, 1, 2, 33] = bad
    (expected,), (got,) = mma(gpu, x, w, (1, 1), (1, 1))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_images_that_do_not_begin_at_a_multiple_of_sixteen(gpu, rng):
    x, w = spikes(rng, 1, 4, 4, 32), floats(rng, 3, 3, 32, 8)
    flat = up(gpu, np.concatenate([np.zeros(3, np.uint8), x.ravel()]))
    y = cuda.exact_conv_forward(flat[3:].reshape(x.shape), up(gpu, w), (1, 1), (1, 1))
    assert_same(((reference.exact_conv_forward(x, w, (1, 1), (1, 1)),), (y.get(),)))


@pytest.mark.parametrize(("choice", "channels", "there"), [("on", 16, True), ("on", 15, False), ("off", 16, False)])
def test_in_float32_arithmetic_spikes_are_summed_exactly_where_tensor_cores_are_wanted(
    gpu, rng, monkeypatch, choice, channels, there
):
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", choice)
    x, w = (rng.random((2, 6, 5, channels)) < 0.5).astype(np.uint8), floats(rng, 3, 3, channels, 33)
    y = cuda.conv_forward(up(gpu, x), up(gpu, w), (1, 1), (1, 1)).get()
    exactly = reference.exact_conv_forward(x, w, (1, 1), (1, 1))
    assert (y.tobytes() == exactly.tobytes()) == there
    np.testing.assert_allclose(y, exactly, rtol=2e-6, atol=2e-6)
    analog = floats(rng, *x.shape)
    assert exact.takes(up(gpu, x), up(gpu, w)) == there
    assert not exact.takes(up(gpu, analog), up(gpu, w))


def test_cards_without_tensor_cores_and_lists_of_events_take_the_plain_kernel(gpu, rng, monkeypatch):
    x, w = spikes(rng, 1, 4, 4, 32), floats(rng, 3, 3, 32, 8)
    with use_kernels("event"), pytest.raises(AssertionError, match="exact_mma"):
        mma(gpu, x, w, (1, 1), (1, 1))
    monkeypatch.setattr(exact, "BYTES", 1000)
    with pytest.raises(AssertionError, match="exact_mma"):
        mma(gpu, x, w, (1, 1), (1, 1))
    assert_same(both(gpu, "exact_conv_forward", x, w, (1, 1), (1, 1)))


def test_layers_too_deep_for_32_bits_take_the_plain_kernel(gpu, rng, monkeypatch):
    monkeypatch.setattr(exact, "DEEPEST", 9 * 32 - 1)
    x, w = spikes(rng, 1, 4, 4, 32), floats(rng, 3, 3, 32, 8)
    with pytest.raises(AssertionError, match="exact_mma"):
        mma(gpu, x, w, (1, 1), (1, 1))
    assert 65792 * 255 * 128 < 1 << 31 < 65794 * 255 * 128


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int8, np.uint16, np.int16])
def test_integers_of_every_type(gpu, rng, dtype):
    w = floats(rng, 70, 3)
    x = rng.integers(0, 2, (2, 3, 70)) if dtype == np.bool_ else rng.integers(*extremes(dtype), (2, 3, 70))
    assert_same(both(gpu, "exact_linear_forward", x.astype(dtype), w))


def extremes(dtype):
    return np.iinfo(dtype).min, np.iinfo(dtype).max + 1


def test_the_largest_sums_are_rounded_once(gpu, rng):
    """All weights of one sign and all spikes 255: sums far above 32 bits."""
    x, w = np.full((1, 4, 4, 200), 255, np.uint8), abs(floats(rng, 3, 3, 200, 2))
    assert_same(both(gpu, "exact_conv_forward", x, w, (1, 1), (1, 1)))


@pytest.mark.parametrize("kind", ["spikes", "analog"])
def test_groups_and_gaps(gpu, rng, kind):
    x = spikes(rng, 2, 6, 6, 8) if kind == "spikes" else floats(rng, 2, 6, 6, 8)
    for w in (floats(rng, 2, 3, 4, 6), floats(rng, 3, 3, 1, 16)):
        assert_same(both(gpu, "exact_grouped_conv_forward", x, w, (2, 1), (1, 2), (2, 1)))


@pytest.mark.parametrize("rows", [(1,), (3, 11), (257,)])
@pytest.mark.parametrize("kind", ["spikes", "analog"])
def test_linear(gpu, rng, kind, rows):
    x = spikes(rng, *rows, 1, 65).reshape(*rows, 65) if kind == "spikes" else floats(rng, *rows, 65)
    assert_same(both(gpu, "exact_linear_forward", x, floats(rng, 65, 10)))


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e30])
@pytest.mark.parametrize("kind", ["spikes", "analog"])
def test_weights_that_are_not_ordinary_are_summed_in_float32(gpu, rng, kind, bad):
    """In all channels of the layer, whichever one has that weight."""
    x = spikes(rng, 2, 5, 4, 3) if kind == "spikes" else floats(rng, 2, 5, 4, 3)
    w = floats(rng, 3, 3, 3, 34)
    w[0, 1, 2, 33] = bad
    (expected,), (got,) = both(gpu, "exact_conv_forward", x, w, (1, 1), (1, 1))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    exactly = reference.exact_conv_forward(x, w[..., :33], (1, 1), (1, 1))
    assert (got[..., :33] != exactly).any()  # the other channels are not exact either


def test_nothing_makes_nothing(gpu):
    x, w = gpu.zeros((0, 4, 4, 3), np.uint8), gpu.zeros((3, 3, 3, 2), np.float32)
    assert cuda.exact_conv_forward(x, w, (1, 1), (1, 1)).shape == (0, 4, 4, 2)
    assert cuda.exact_linear_forward(x, w[0, 0]).shape == (0, 4, 4, 2)


def test_a_weight_changed_in_place_is_seen(gpu, rng):
    x, w = spikes(rng, 1, 4, 4, 3), floats(rng, 3, 3, 3, 2)
    on_device = up(gpu, w)
    cuda.exact_conv_forward(up(gpu, x), on_device, (1, 1), (1, 1))
    on_device[0, 0, 0, 0] = w[0, 0, 0, 0] = 3.0
    y = cuda.exact_conv_forward(up(gpu, x), on_device, (1, 1), (1, 1))
    np.testing.assert_array_equal(y.get(), reference.exact_conv_forward(x, w, (1, 1), (1, 1)))
