"""Convolution, normalisation and neuron in one pass give the bits of the kernels one after the other."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore.firing import Firing
from snncore.kernels import cpu, reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cpu import conv_fire, exact_fire
from tests.snncore.kernels.cpu.layers import THREADS, draw_spikes, layers, on_threads

FIRING = st.builds(Firing, st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.sampled_from([0.5, 1.0]),
                   st.sampled_from([None, 0.0, -0.25]))  # fmt: skip


def norm(rng, channels, terms):
    """Mean, inv_std (as BatchNorm has them, float64), gamma and beta for currents near the threshold."""
    mean, deviation = rng.normal(0, 1, channels), rng.uniform(0.5, 2, channels) * terms**0.5
    gamma, beta = (rng.normal(loc, 0.5, channels).astype(np.float32) for loc in (1, 0.5))
    return mean, 1 / deviation, gamma, beta


def over_time(x, steps):
    """The images x [M, ...] as [steps, M, ...], another part of them silent at each step."""
    rng = np.random.default_rng(x.size)
    return np.stack([x * (rng.random(x.shape) < 0.7) for _ in range(steps)]).astype(np.uint8)


def one_by_one(convolve, x, w, stride, padding, *rest):
    y = convolve(x.reshape(-1, *x.shape[2:]), w, stride, padding)
    return cpu.batch_norm_lif_forward(y.reshape(*x.shape[:2], *y.shape[1:]), *rest)


PAIRS = {
    "float32": (cpu.conv_batch_norm_lif_forward, cpu.conv_forward, conv_fire, "spike_rows"),
    "exact": (cpu.exact_conv_batch_norm_lif_forward, cpu.exact_conv_forward, exact_fire, "exact_spike_rows"),
}


@pytest.mark.parametrize("name", PAIRS)
@given(layer=layers(), steps=st.integers(1, 5), firing=FIRING, threads=THREADS, seed=st.integers(0, 2**16))
def test_spikes_are_those_of_the_kernels_one_by_one(name, layer, steps, firing, threads, seed):
    fused, convolve, module, kernel = PAIRS[name]
    x, w, stride, padding = layer
    x, constants = over_time(x, steps), norm(np.random.default_rng(seed), w.shape[3], w[..., 0].size)
    before = x.copy(), w.copy()
    with use_kernels("event"), mock.patch.object(module, kernel, wraps=getattr(module, kernel)) as ran:
        s = on_threads(threads, fused, x, w, stride, padding, *constants, firing)
        assert ran.called
        np.testing.assert_array_equal(s, one_by_one(convolve, x, w, stride, padding, *constants, firing))
    assert s.dtype == np.uint8
    assert s.flags.c_contiguous
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(w, before[1])


def test_exact_spikes_are_those_of_the_reference(rng):
    x, w = draw_spikes(rng, (4, 2, 6, 5, 70), 0.2), rng.standard_normal((3, 3, 70, 40)).astype(np.float32)
    arguments = x, w, (1, 1), (1, 1), *norm(rng, 40, 100), Firing(v_reset=0.0)
    s = cpu.exact_conv_batch_norm_lif_forward(*arguments)
    np.testing.assert_array_equal(s, reference.exact_conv_batch_norm_lif_forward(*arguments))
    assert 0.1 < s.mean() < 0.9


def test_a_neuron_worked_out_by_hand():
    x = np.ones((4, 1, 1, 1, 1), np.uint8)
    w = np.full((1, 1, 1, 1), 6.0, np.float32)
    one = np.ones(1, np.float32)
    # current (6 - 2) * 0.25 * 1 - 0.25 = 0.75 at each step, decay 0.5: see below for h
    rest = (w, (1, 1), (0, 0), np.full(1, 2.0), np.full(1, 0.25), one, -one / 4)
    for fused, *_ in PAIRS.values():
        soft, hard = (fused(x, *rest, Firing(0.5, 1.0, reset)).ravel().tolist() for reset in (None, 0.5))
        assert soft == [0, 1, 0, 1]  # 0.75, 1.125 fires and leaves 0.125, 0.8125, 1.15625
        assert hard == [0, 1, 1, 1]  # from 0.5 on: 0.25 + 0.75 = 1


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("why", ["dense", "nan", "float64", "analog", "rows too long"])
def test_what_the_pass_does_not_take_goes_kernel_by_kernel(name, why, rng):
    fused, convolve, module, kernel = PAIRS[name]
    x, w = draw_spikes(rng, (2, 2, 4, 4, 16), 0.3), rng.standard_normal((3, 3, 16, 16)).astype(np.float32)
    constants = norm(rng, 16, 40)
    if why == "dense":
        x = draw_spikes(rng, x.shape, 1.0) * np.uint8(2)
    elif why == "nan":
        w[0, 0, 3] = np.nan
    elif why == "float64":
        if name == "exact":
            pytest.skip("exact sums are of float32 weights")
        w, constants = w.astype(np.float64), tuple(c.astype(np.float64) for c in constants)
    elif why == "analog":
        x = rng.standard_normal(x.shape).astype(np.float32)
    longest = 7 if why == "rows too long" else 8  # two steps of rows of four pixels
    with (
        mock.patch.object(conv_fire, "LONGEST", longest),
        mock.patch.object(module, kernel, wraps=getattr(module, kernel)) as ran,
    ):
        s = fused(x, w, (1, 1), (1, 1), *constants, Firing())
    assert not ran.called
    np.testing.assert_array_equal(s, one_by_one(convolve, x, w, (1, 1), (1, 1), *constants, Firing()))


def test_rows_of_several_images_and_blocks_share_a_pass(rng):
    """More rows than one item of the loop holds, and items that end within an image."""
    x, w = draw_spikes(rng, (4, 3, 30, 9, 65), 0.1), rng.standard_normal((3, 3, 65, 80)).astype(np.float32)
    arguments = x, w, (1, 1), (1, 1), *norm(rng, 80, 60), Firing()
    for fused, convolve, *_ in PAIRS.values():
        np.testing.assert_array_equal(fused(*arguments), one_by_one(convolve, *arguments))


def test_a_weight_that_changes_in_place_is_seen(rng):
    x, w = draw_spikes(rng, (2, 1, 4, 4, 16), 0.3), rng.standard_normal((3, 3, 16, 16)).astype(np.float32)
    for fused, convolve, *_ in PAIRS.values():
        arguments = x, w, (1, 1), (1, 1), *norm(rng, 16, 40), Firing()
        before = fused(*arguments)
        w += rng.standard_normal(w.shape).astype(np.float32)
        after = fused(*arguments)
        assert not np.array_equal(after, before)
        np.testing.assert_array_equal(after, one_by_one(convolve, *arguments))
