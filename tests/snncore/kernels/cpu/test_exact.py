"""Every exact kernel gives the bits of the reference: any layer, spikes up to 255, threads and batch."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snncore.kernels import cpu, reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cpu import exact_dense, exact_digits, exact_event, exact_winograd
from tests.snncore.kernels.cpu.layers import THREADS, draw_spikes, layers, on_threads

CHOICES = st.sampled_from(["event", "dense", "auto"])
LARGEST = st.sampled_from([1, 2, 3, 16, 255])
ONE = (1, 1)


@given(layers(), LARGEST, CHOICES, THREADS, st.booleans(), st.integers(-130, 90))
def test_a_convolution_of_spikes_is_the_references(layer, largest, kernels, threads, vnni, power):
    x, w, stride, padding = layer
    x = draw_spikes(np.random.default_rng(x.size), x.shape, 0.3, largest) if largest > 2 else x.clip(0, largest)
    w = np.ldexp(w, power)
    before = x.copy(), w.copy()
    with use_kernels(kernels), mock.patch.object(exact_digits, "VNNI", vnni and exact_digits.VNNI):
        y = on_threads(threads, cpu.exact_conv_forward, x, w, stride, padding)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, stride, padding))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(w, before[1])


@given(layers(), CHOICES, THREADS)
def test_a_convolution_of_analog_input_is_the_references(layer, kernels, threads):
    x, w, stride, padding = layer
    x = np.random.default_rng(x.size).standard_normal(x.shape).astype(np.float32)
    with use_kernels(kernels):
        y = on_threads(threads, cpu.exact_conv_forward, x, w, stride, padding)
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, stride, padding))


@given(
    st.integers(0, 70),
    st.sampled_from([1, 10, 64, 130]),
    st.sampled_from([1, 10, 64]),
    LARGEST,
    CHOICES,
    st.booleans(),
)
def test_a_linear_layer_is_the_references(rows, ci, co, largest, kernels, analog):
    rng = np.random.default_rng(rows)
    x = draw_spikes(rng, (2, rows, ci), 0.3, largest)
    if analog:
        x = x * rng.standard_normal(x.shape).astype(np.float32)
    w = rng.standard_normal((ci, co)).astype(np.float32)
    with use_kernels(kernels):
        y = cpu.exact_linear_forward(x, w)
    np.testing.assert_array_equal(y, reference.exact_linear_forward(x, w))


@settings(max_examples=max(1, settings().max_examples // 2))
@given(layers(), st.booleans(), CHOICES, st.integers(0, 3))
def test_a_sum_does_not_depend_on_the_other_images(layer, analog, kernels, cut):
    x, w, stride, padding = layer
    x = np.concatenate([x, 2 * x[::-1], 200 * x[:1]])  # one image of large spikes: it alone needs wide sums
    x = x * np.float32(0.37) if analog else x
    with use_kernels(kernels):
        whole = cpu.exact_conv_forward(x, w, stride, padding)
        parts = [cpu.exact_conv_forward(part, w, stride, padding) for part in (x[:cut], x[cut:]) if len(part)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("channels_in", [64, 65, 130])
def test_the_fullest_sums_fit(channels_in):
    """Spikes of 2 everywhere and weights of one sign: each block holds the largest sum that it may."""
    x = np.full((1, 4, 4, channels_in), 2, np.uint8)
    rng = np.random.default_rng(0)
    for w in (np.full((3, 3, channels_in, 5), 0.1, np.float32), -rng.random((3, 3, channels_in, 5), np.float32)):
        with use_kernels("event"):
            y = cpu.exact_conv_forward(x, w, ONE, ONE)
        np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, ONE, ONE))
        np.testing.assert_allclose(y, reference.conv_forward(x, w.astype(np.float64), ONE, ONE), rtol=1e-6)


def test_sums_that_do_not_fit_32_bits_are_found(rng, monkeypatch):
    """Without the look at what fits, large spikes would wrap."""
    x, w = draw_spikes(rng, (1, 4, 4, 64), 0.9, 16), abs(rng.standard_normal((3, 3, 64, 4)).astype(np.float32))
    right = reference.exact_conv_forward(x, w, ONE, ONE)
    with use_kernels("event"):
        np.testing.assert_array_equal(cpu.exact_conv_forward(x, w, ONE, ONE), right)
        monkeypatch.setattr(exact_event, "fits", lambda spikes, packed: True)
        assert (cpu.exact_conv_forward(x, w, ONE, ONE) != right).any()


def test_density_and_the_processor_choose_the_kernel(rng, monkeypatch):
    ran = []
    names = {"events": exact_event, "winograd": exact_winograd, "digits": exact_digits, "tiles": exact_dense}
    for name, module in names.items():
        own = module.conv_forward
        monkeypatch.setattr(module, "conv_forward", lambda *a, name=name, own=own: ran.append(name) or own(*a))
    w = rng.standard_normal((3, 3, 16, 16)).astype(np.float32)
    few, half, many = (draw_spikes(rng, (1, 4, 4, 16), 0.1, 1), *(np.zeros((1, 4, 4, 16), np.uint8) for _ in range(2)))
    half[:, ::2], many[:] = 1, 2
    for vnni in {exact_digits.VNNI, False}:
        monkeypatch.setattr(exact_digits, "VNNI", vnni)
        ran.clear()
        for kernels, x in (("auto", few), ("auto", many), ("event", many), ("dense", few), ("event", 64 * many)):
            with use_kernels(kernels):
                cpu.exact_conv_forward(x, w, ONE, ONE)
        cpu.exact_conv_forward(few.astype(np.float32), w, ONE, ONE)
        dense, large = ("winograd", "digits") if vnni else ("tiles", "tiles")
        assert ran == ["events", dense, "events", dense, large, "tiles"]
        ran.clear()
        with use_kernels("auto"):
            for stride in (ONE, (2, 1)):
                cpu.exact_conv_forward(half, w, stride, ONE)
        assert ran == (["winograd", "events"] if vnni else ["events", "events"])  # break-even 0.4, 0.65, 1.5


@pytest.mark.skipif(not exact_digits.VNNI, reason="needs AVX-512 VNNI")
def test_the_deepest_sums_of_digits_fit():
    """Spikes of 255 and digits of -128 wherever there is one: -0.50196 * 2^24 is -128 in its second and third digit."""
    w = np.full((1, 1, 1024, 3), -(128 * 65536 + 128 * 256 + 128) / 2**24, np.float32)
    w[..., 1] *= -1
    x = np.full((1, 2, 2, 1024), 255, np.uint8)
    y = exact_digits.conv_forward(x, exact_digits.pack(w), (1, 1), ONE, (0, 0))
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, ONE, (0, 0)))
    assert exact_digits.DEEPEST * 255 * 128 < 2**31


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e30])
@pytest.mark.parametrize("kernels", ["event", "dense"])
def test_weights_that_are_not_ordinary_go_to_the_reference(rng, bad, kernels):
    w = rng.standard_normal((3, 3, 5, 4)).astype(np.float32)
    w[1, 1, 2, 3] = bad
    for x in (draw_spikes(rng, (1, 4, 4, 5), 0.5), rng.standard_normal((1, 4, 4, 5)).astype(np.float32)):
        with use_kernels(kernels):
            y = cpu.exact_conv_forward(x, w, ONE, ONE)
        np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, ONE, ONE))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16])
def test_other_integers_are_summed_by_the_reference(rng, dtype):
    x, w = rng.integers(0, 2, (2, 4, 4, 3)).astype(dtype), rng.standard_normal((3, 3, 3, 2)).astype(np.float32)
    y = cpu.exact_conv_forward(x, w, ONE, ONE)
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, ONE, ONE))
