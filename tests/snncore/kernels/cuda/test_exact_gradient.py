"""The gradient of the weights in integers: the bits of whole numbers of NumPy, and nearer than float32 sums."""

from unittest import mock

import numpy as np
import pytest

from snncore.kernels import choice, cuda, reference
from snncore.kernels.choice import arithmetic, use_kernels
from snncore.kernels.cuda import exact_gradient as module
from snncore.kernels.cuda import tensor_cores
from snncore.kernels.cuda.module import THREADS, launch
from tests.snncore.kernels.cuda.pairs import floats, up
from tests.support.double.ledger import events

TOP = 0x7F7F7F7F  # 127 in each of four digits
LAYERS = [  # kernel, stride, padding
    ((3, 3), (1, 1), (1, 1)),
    ((3, 3), (2, 2), (1, 1)),
    ((2, 3), (2, 1), (0, 2)),
    ((1, 1), (2, 2), (0, 0)),
]
CHANNELS = [(1, 1), (3, 5), (17, 33), (48, 64), (130, 40)]
KINDS = ("normal", "heavy", "sparse", "equal", "subnormal", "large", "tiny beside large")


@pytest.fixture(autouse=True)
def on_tensor_cores(monkeypatch):
    monkeypatch.setenv("SNNCORE_TENSOR_CORES", "on")


def gradients(rng, kind, *shape):
    g = rng.standard_normal(shape)
    made = {
        "normal": g * 1e-3,
        "heavy": np.sign(g) * np.exp(3 * abs(g)),  # the largest far above all others
        "sparse": g * (rng.random(shape) < 0.02),
        "equal": np.full(shape, -127 / 64 - 2.0**-20),  # the largest integer is just above what four digits hold
        "subnormal": g * 2.0**-140,
        "large": np.clip(g, -3, 3) * 2.0**125,
        "tiny beside large": np.where(rng.random(shape) < 0.05, g, g * 2.0**-40),
    }[kind]
    made[..., -1] = 0  # a channel of zeros
    return made.astype(np.float32)


def fixed(gy):
    """(q int64 as gy, p [Co]) by the definition: gy 2^p to the nearest integer, at the largest p with |q| <= TOP."""
    most = abs(gy).reshape(-1, gy.shape[-1]).max(axis=0).astype(np.float64)
    p = np.where(most > 0, 31 - np.frexp(most)[1], 0)
    p -= np.rint(np.ldexp(most, p)) > TOP
    return np.rint(np.ldexp(gy.astype(np.float64), p)).astype(np.int64), p


def twin(x, gy, *layer):
    """The sums in 64 bits, and one rounding."""
    q, p = fixed(gy)
    total = reference.conv_backward_weight(x.astype(np.int64), q, *layer)
    with np.errstate(over="ignore"):
        return np.ldexp(total.astype(np.float32).astype(np.float64), -p).astype(np.float32)


def case(rng, channels, layer, kind="normal", images=3, largest=255):
    """x [images, 7, 6, Ci] and gy, with more than a step of places."""
    kernel, stride, padding = layer
    x = rng.choice([0, 0, 0, 1, 2, largest], (images, 7, 6, channels[0])).astype(np.uint8)
    shape = reference.conv_forward(x, np.zeros((*kernel, channels[0], channels[1]), np.float32), stride, padding).shape
    return x, gradients(rng, kind, *shape)


def run(gpu, x, gy, layer, out=None):
    """gw as a NumPy array; the kernels neither wait nor copy, and no other kernel runs."""
    on_device, files = (up(gpu, x), up(gpu, gy)), []
    own, before = module.launch, events.copy()

    def seen(file, *rest, **keywords):
        files.append(file)
        own(file, *rest, **keywords)

    with mock.patch.object(module, "launch", seen):
        gw = module.exact_backward_weight(*on_device, *layer, out)
    assert set(events - before) == {"launch"}
    assert set(files) == {"exact_gradient"}
    return gw.get()


def assert_same(expected, got):
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("channels", CHANNELS)
def test_every_bit_is_that_of_whole_numbers(gpu, rng, channels, layer):
    x, gy = case(rng, channels, layer)
    assert_same(twin(x, gy, *layer), run(gpu, x, gy, layer))


def test_twice_as_many_warps_give_the_same_bits(gpu, rng, monkeypatch):
    """As cards have from Blackwell on."""
    monkeypatch.setattr(tensor_cores, "TALL", 2)
    for channels in ((17, 33), (130, 40)):
        x, gy = case(rng, channels, LAYERS[0])
        assert_same(twin(x, gy, *LAYERS[0]), run(gpu, x, gy, LAYERS[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_every_kind(gpu, rng, kind):
    x, gy = case(rng, (20, 9), LAYERS[0], kind)
    expected = twin(x, gy, *LAYERS[0])
    assert np.isinf(expected).any() == (kind == "large")  # a sum beyond float32 is not finite, so that training sees it
    assert_same(expected, run(gpu, x, gy, LAYERS[0]))


@pytest.mark.parametrize("channels", [64, 128, 256])
def test_real_widths(gpu, rng, channels, request):
    if "races" in request.node.name and channels > 64:
        pytest.skip("every access of 64 channels is watched; more are the same code")
    x = (rng.random((1, 2, 3, channels)) < 0.2).astype(np.uint8)
    gy = gradients(rng, "heavy", 1, 2, 3, channels)
    assert_same(twin(x, gy, *LAYERS[0]), run(gpu, x, gy, LAYERS[0]))


def test_a_layer_of_many_steps_as_in_training(gpu, rng):
    """Places of several images in a step, lines shorter than a step and longer, and many parts."""
    for images, h, w in ((70, 2, 2), (3, 3, 70), (300, 1, 1)):
        x = (rng.random((images, h, w, 16)) < 0.3).astype(np.uint8)
        gy = gradients(rng, "normal", images, h, w, 8)
        assert_same(twin(x, gy, *LAYERS[0]), run(gpu, x, gy, LAYERS[0]))


@pytest.mark.parametrize("splits", [1, 2, 3, 7])
@pytest.mark.parametrize("piece", [1 << 28, 4 * 64 * 64 * 3, 1])  # bytes: all steps at once, three, one
def test_no_way_to_cut_the_work_changes_a_bit(gpu, rng, monkeypatch, splits, piece):
    monkeypatch.setattr(module, "DIGIT_BYTES", piece)
    monkeypatch.setattr(module, "splits_for", lambda *_: splits)
    x, gy = case(rng, (20, 40), LAYERS[0], images=10)  # 7 steps
    assert_same(twin(x, gy, *LAYERS[0]), run(gpu, x, gy, LAYERS[0]))


def test_the_largest_sums_of_a_block_stay_in_32_bits(gpu, rng):
    """Spikes of 255 under digits of -128: 2^31 is met only beyond `LONGEST` steps."""
    assert 255 * 128 * module.PLACES * module.LONGEST < 1 << 31 < 255 * 128 * module.PLACES * (module.LONGEST + 5)
    x, gy = np.full((40, 7, 6, 16), 255, np.uint8), np.full((40, 7, 6, 2), -1 - 2.0**-7 - 2.0**-15, np.float32)
    assert_same(twin(x, gy, *LAYERS[0]), run(gpu, x, gy, LAYERS[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_digits_are_those_of_the_integers(gpu, rng, kind):
    gy = gradients(rng, kind, 2, 5, 7, 33)
    flat, bits = up(gpu, gy.reshape(-1, 33)), module.largest_bits(up(gpu, gy))
    digits, total = gpu.empty((2, 4, 64, 64), np.int8), gpu.full(1000, 7, np.uint64)
    launch(
        "exact_gradient", "exact_gradient_digits", (2, 2), (THREADS,), flat, bits, digits, total, 70, 33, np.int64(999)
    )
    q = (digits.get().astype(np.int64) * 256 ** np.arange(4)[:, None, None]).sum(axis=1)  # [steps, channels, places]
    q = q.transpose(0, 2, 1).reshape(128, 64)
    np.testing.assert_array_equal(q[:70, :33], fixed(gy)[0].reshape(-1, 33))
    assert not q[70:].any()
    assert not q[:, 33:].any()
    assert not total.get()[:999].any()
    assert total.get()[999] == 7


def sums_of_spikes(x, gy, layer):
    """The spikes under each tap, [kh, kw, Ci, Co]."""
    return reference.conv_backward_weight(x.astype(np.float64), np.ones(gy.shape), *layer)


@pytest.mark.parametrize("kind", ["normal", "heavy", "sparse", "tiny beside large"])
def test_the_error_is_within_its_bound_and_below_that_of_float32(gpu, rng, kind):
    x, gy = case(rng, (16, 9), LAYERS[0], kind, images=24, largest=1)
    true = reference.conv_backward_weight(x, gy.astype(np.float64), *LAYERS[0])
    off = abs(run(gpu, x, gy, LAYERS[0]) - true)
    most = abs(gy).reshape(-1, 9).max(axis=0).astype(np.float64)
    assert (off <= 2.0**-24 * abs(true) + 1.004 * 2.0**-31 * most * sums_of_spikes(x, gy, LAYERS[0])).all()
    by_float32 = abs(reference.conv_backward_weight(x, gy, *LAYERS[0]) - true)
    assert (off**2).sum() < (by_float32**2).sum()


def test_three_digits_would_not_do(rng):
    """On heavy tails their error is above that of float32 sums; four digits are no luxury."""
    x, gy = case(rng, (16, 9), LAYERS[0], "heavy", images=24, largest=1)
    true = reference.conv_backward_weight(x, gy.astype(np.float64), *LAYERS[0])
    by_float32 = abs(reference.conv_backward_weight(x, gy, *LAYERS[0]) - true)
    q, p = fixed(gy)
    three = reference.conv_backward_weight(x, np.rint(q / 256) * 2.0 ** (8 - p), *LAYERS[0])
    assert (abs(three - true) ** 2).sum() > 4 * (by_float32**2).sum()


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so_in_its_channel(gpu, rng, bad):
    x, gy = case(rng, (20, 9), LAYERS[0])
    gy[1, 2, 3, 4] = bad
    x[:, 2:5, 2:5] = 0  # though no spike meets it
    for splits in (1, 2):
        with mock.patch.object(module, "splits_for", lambda *_, n=splits: n):
            gw = run(gpu, x, gy, LAYERS[0])
        assert np.isnan(gw[..., 4]).all()
        others = [k for k in range(9) if k != 4]
        assert_same(twin(x, gy[..., others], *LAYERS[0]), np.ascontiguousarray(gw[..., others]))


def test_nothing_makes_zeros(gpu, rng):
    x, gy = case(rng, (20, 9), LAYERS[0])
    for zeros in ((0 * x, gy), (x, 0 * abs(gy)), (x, -0.0 * abs(gy))):
        assert_same(np.zeros((3, 3, 20, 9), np.float32), run(gpu, *zeros, LAYERS[0]))


def test_images_that_do_not_begin_at_a_multiple_of_sixteen(gpu, rng):
    x, gy = case(rng, (32, 9), LAYERS[0])
    flat = up(gpu, np.concatenate([np.zeros(3, np.uint8), x.ravel()]))
    gw = cuda.conv_backward_weight(flat[3:].reshape(x.shape), up(gpu, gy), *LAYERS[0])
    assert_same(twin(x, gy, *LAYERS[0]), gw.get())


def test_it_is_the_gradient_of_spikes_and_is_written_where_it_belongs(gpu, rng):
    x, gy = case(rng, (20, 9), LAYERS[0])
    home = gpu.full((2, 3, 3, 20, 9), np.nan, np.float32)[1]
    assert cuda.conv_backward_weight(up(gpu, x), up(gpu, gy), *LAYERS[0], out=home) is home
    assert_same(twin(x, gy, *LAYERS[0]), home.get())


def test_what_the_kernels_do_not_take(gpu, rng, monkeypatch):
    x, gy = case(rng, (20, 9), LAYERS[0])
    on_device = up(gpu, x), up(gpu, gy)
    assert module.takes(*on_device)
    assert not module.takes(up(gpu, floats(rng, *x.shape)), on_device[1])
    assert not module.takes(on_device[0], on_device[1].astype(np.float64))
    assert not module.takes(gpu.zeros((0, 7, 6, 20), np.uint8), gpu.zeros((0, 7, 6, 9), np.float32))
    with use_kernels("event"), arithmetic("exact"):
        assert not module.takes(*on_device)
    with choice.tensor_cores("off"), arithmetic("exact"):
        assert not module.takes(*on_device)
    with choice.tensor_cores("auto"):
        monkeypatch.setattr(tensor_cores, "SEEN", ())
        assert not module.takes(*on_device)  # no card of that kind has run it
        monkeypatch.setattr(tensor_cores, "SEEN", (tensor_cores.capability(gpu),))
        assert module.takes(*on_device)
    for name, value in (("BYTES", 1000), ("MOST_PLACES", 125), ("LARGEST_IMAGE", 840)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert not module.takes(*on_device), name
    assert (2**31 - 1) * 255 * module.MOST_PLACES < 1 << 63


def test_how_the_work_is_cut():
    assert module.balanced(2048, 16384) == 2048
    assert module.balanced(32768, 16384) == 16384
    assert module.balanced(10, 4) == 4
    assert module.balanced(3, 1) == 1
    assert module.splits_for(10, 2048, 264) == 26  # 260 of the 264 blocks that fit an H100
    assert module.splits_for(576, 32, 264) == 1  # more blocks than fit: none is cut
    assert module.splits_for(1, 1, 264) == 1
    assert module.splits_for(1000, 1 << 15, 2) == 32  # no block is longer than its sums allow
