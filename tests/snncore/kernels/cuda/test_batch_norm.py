"""Batch normalisation by itself and with LIF."""

import numpy as np
import pytest

from snncore.backend import array_module
from snncore.firing import Firing
from snncore.kernels import cuda, reference
from snncore.kernels.reference.batch_norm import Moments
from snncore.surrogate import SURROGATES
from tests.snncore.kernels.cuda.pairs import SIZES, assert_close, both, floats, up
from tests.snncore.kernels.norms import lif_gradients
from tests.support.double.ledger import events


def statistics(rng, channels):
    """mean, inv_std (float64), gamma, beta."""
    return (
        rng.normal(0.2, 0.3, channels),
        1 / rng.uniform(0.5, 2, channels),
        floats(rng, channels, mean=1.5),
        floats(rng, channels),
    )


def check_backward(gpu, gy, x, mean, inv_std, gamma):
    """Sums to rounding; from the same sums, of a batch of which x is a part or all, gx to the bit."""
    (sums,), (found,) = both(gpu, "batch_norm_gradient_sums", gy, x, mean, inv_std)
    scale = 1e-5 * np.abs(gy).max() * (x.size / gamma.size) ** 0.5 * max(1, np.abs(inv_std).max())
    np.testing.assert_allclose(found[:2], sums, rtol=1e-5, atol=scale)
    assert (found.shape, found.dtype) == ((3, gamma.size), np.float64)
    assert not found[2].any()  # room for the largest of gx
    found = found[:2]
    check_out("batch_norm_gradient_sums", *(up(gpu, a) for a in (gy, x, mean, inv_std)), sums=found)
    for kernel in ("batch_norm_backward", "batch_norm_lif_backward"):
        for count in (None, x.size // gamma.size, x.size // gamma.size + 5):
            (gx,), (got,) = both(gpu, kernel, gy.copy(), x, mean, inv_std, gamma, sums, count)
            np.testing.assert_array_equal(got, gx)


def check_out(name, *args, sums):
    """With `out` the kernel gives the same sums, and fills it with them as float32."""
    xp = array_module(args[0])
    out = tuple(xp.full(sums.shape[1:], np.nan, np.float32) for _ in range(2))
    found = getattr(cuda, name)(*args, out=out)
    found = found[1] if isinstance(found, tuple) else found
    np.testing.assert_array_equal(found.get()[:2], sums)
    for gradient, of_it in zip(out, sums, strict=True):
        np.testing.assert_array_equal(gradient.get(), of_it.astype(np.float32))


@pytest.mark.parametrize("channels", SIZES)
@pytest.mark.parametrize("momentum", [0.1, 1.0])
def test_running_statistics_move_as_the_references_bit_for_bit(gpu, rng, channels, momentum):
    moments = Moments(12, rng.normal(0.2, 3.0, channels), rng.uniform(0, 2, channels))
    running = floats(rng, channels), floats(rng, channels, mean=3.0)
    on_device = [up(gpu, a) for a in running]
    x = floats(rng, 40, channels, mean=3)
    there = [up(gpu, a) for a in running]
    whole, inv_std = cuda.batch_norm_statistics(up(gpu, x), settle=cuda.SETTLES(*there, momentum, 1e-5))
    found = Moments(40, *(a.get() for a in whole[1:]))
    copies = [a.copy() for a in running]
    expected = reference.batch_norm_settle(found, *copies, momentum, 1e-5)
    for got, e in zip((inv_std, *there), (expected, *copies), strict=True):
        np.testing.assert_array_equal(got.get(), e)
    there = Moments(12, *(up(gpu, a) for a in moments[1:]))
    before = events.copy()
    inv_std = cuda.batch_norm_settle(there, *on_device, momentum, 1e-5)
    assert events - before == {"launch": 1}
    expected = reference.batch_norm_settle(moments, *running, momentum, 1e-5)
    assert inv_std.dtype == expected.dtype
    for got, e in zip((inv_std, *on_device), (expected, *running), strict=True):
        np.testing.assert_array_equal(got.get(), e)


def test_what_the_kernels_do_not_take_fills_out_too(gpu, rng):
    x, gy = (up(gpu, floats(rng, 6, 3).astype(np.float64)) for _ in range(2))
    mean, inv_std, gamma, beta = (up(gpu, a) for a in statistics(rng, 3))
    running = gpu.zeros(3, np.float32), gpu.ones(3, np.float32)
    moments, of_it = cuda.batch_norm_statistics(x, settle=cuda.SETTLES(*running, 1.0, 1e-5))
    np.testing.assert_allclose(running[0].get(), x.get().mean(0), rtol=1e-6)
    np.testing.assert_allclose(of_it.get(), 1 / np.sqrt(moments.var.get() + 1e-5), rtol=1e-12)
    sums = cuda.batch_norm_gradient_sums(gy, x, mean, inv_std).get()
    check_out("batch_norm_gradient_sums", gy, x, mean, inv_std, sums=sums)
    neuron = (mean, inv_std, gamma.astype(np.float64), beta.astype(np.float64), Firing())
    s = cuda.batch_norm_lif_forward(x, *neuron)
    sums = cuda.batch_norm_lif_gradient_sums(gy, x, s, *neuron)[1].get()
    check_out("batch_norm_lif_gradient_sums", gy, x, s, *neuron, sums=sums)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("channels", [1, 33])
def test_statistics(gpu, rng, rows, channels):
    x = floats(rng, rows, 2, channels, mean=3)
    (count, *expected), (same, *got) = both(gpu, "batch_norm_statistics", x)
    assert count == same == 2 * rows
    assert_close(expected, got, 1e-6, ("mean", "var"))
    assert_close((x.mean((0, 1), np.float64), x.var((0, 1), np.float64)), got, 1e-6, ("mean", "var"))


def test_statistics_of_channels_far_from_zero_and_after_an_outlier(gpu, rng):
    x = floats(rng, 3000, 3)
    x[:, 0] += 1000  # a sum of squares would lose the variance
    x[0, 1] = 500  # and so would a shift by the first entry
    x[:, 2] = 7
    _, (_, *got) = both(gpu, "batch_norm_statistics", x)
    np.testing.assert_allclose(got[0], x.mean(0, np.float64), rtol=1e-6)
    np.testing.assert_allclose(got[1], x.var(0, np.float64), rtol=1e-5)
    assert got[1][2] == 0


def test_rows_beyond_what_all_blocks_take_at_once(gpu, rng):
    x = floats(rng, 5000, 2)  # 512 blocks of 8 rows
    _, (_, *got) = both(
        gpu, "batch_norm_statistics", x
    )  # the reference adds 5000 float32 in a row here, and is less exact
    assert_close((x.mean(0, np.float64), x.var(0, np.float64)), got, 1e-6, ("mean", "var"))
    mean, inv_std, gamma, beta = statistics(rng, 2)
    check_backward(gpu, floats(rng, 5000, 2), x, mean, inv_std, gamma)
    expected, got = both(gpu, "batch_norm_forward", x, mean, inv_std, gamma, beta)
    np.testing.assert_array_equal(got[0], expected[0])


@pytest.mark.parametrize("channels", SIZES)
def test_forward_is_the_reference_bit_for_bit(gpu, rng, channels):
    expected, got = both(gpu, "batch_norm_forward", floats(rng, 7, 5, channels), *statistics(rng, channels))
    np.testing.assert_array_equal(got[0], expected[0])


@pytest.mark.parametrize("channels", SIZES)
def test_backward(gpu, rng, channels):
    x, gy = floats(rng, 7, 5, channels), floats(rng, 7, 5, channels)
    check_backward(gpu, gy, x, *statistics(rng, channels)[:3])


@pytest.mark.parametrize("v_reset", [None, 0.0])
@pytest.mark.parametrize("channels", SIZES)
def test_with_lif_forward_is_the_reference_bit_for_bit(gpu, rng, channels, v_reset):
    x, norm = floats(rng, 5, 3, 3, channels, std=1.5), statistics(rng, channels)
    expected, got = both(gpu, "batch_norm_lif_forward", x, *norm, Firing(0.6, 1.0, v_reset))
    assert 0 < expected[0].mean() < 1
    np.testing.assert_array_equal(got[0], expected[0])


@pytest.mark.parametrize("v_reset", [None, 0.25])
@pytest.mark.parametrize("channels", SIZES)
def test_with_lif_backward(gpu, rng, channels, v_reset):
    x, gs, norm = floats(rng, 5, 3, 3, channels), floats(rng, 5, 3, 3, channels), statistics(rng, channels)
    for detach in (False, True):
        neuron = (*norm, Firing(0.6, 1.0, v_reset, detach_reset=detach))
        args = (gs, x, reference.batch_norm_lif_forward(x, *neuron), *neuron)
        sums = check_lif_backward(gpu, args)
        check_out("batch_norm_lif_gradient_sums", *(up(gpu, a) for a in args), sums=sums)
        first, second, *rest = (up(gpu, a) for a in (gs, floats(rng, *gs.shape), *args[1:]))
        added = lif_gradients(cuda, first + second, *rest, True)
        for e, g in zip(added, lif_gradients(cuda, first, *rest, True, also=second), strict=True):
            np.testing.assert_array_equal(g.get(), e.get())


def check_lif_backward(gpu, args):
    """Both halves against the reference, the gradient of currents as that of x in evaluation; returns the sums."""
    results = []
    for module, there in ((reference, args), (cuda, [up(gpu, a) for a in args])):
        before = events.copy()
        found = [*lif_gradients(module, *there, False), lif_gradients(module, *there, True)[0]]
        assert set(events - before) == ({"launch"} if module is cuda else set())
        results.append([a if isinstance(a, np.ndarray) else a.get() for a in found])
    assert_close(*results, 1e-5, ("gx in evaluation", "ggamma", "gbeta", "gx"))
    _, ggamma, gbeta, _ = results[1]
    return np.stack([gbeta, ggamma])


def test_parameters_with_strides_and_statistics_in_float32_are_taken(gpu, rng):
    x, (mean, inv_std, gamma, beta) = floats(rng, 3, 4, 5), statistics(rng, 5)
    expected = reference.batch_norm_forward(x, mean, inv_std, gamma, beta)
    every_second = [up(gpu, np.repeat(a, 2))[::2] for a in (gamma, beta)]
    got = cuda.batch_norm_forward(up(gpu, x), up(gpu, mean), up(gpu, inv_std), *every_second)
    np.testing.assert_array_equal(got.get(), expected)
    narrow = [up(gpu, a.astype(np.float32)) for a in (mean, inv_std)]
    for run in (cuda.batch_norm_forward, cuda.batch_norm_lif_forward):
        neuron = () if run is cuda.batch_norm_forward else (Firing(),)
        got = run(up(gpu, x), *narrow, up(gpu, gamma), up(gpu, beta), *neuron)
        assert got.shape == x.shape
    np.testing.assert_allclose(cuda.batch_norm_forward(up(gpu, x), *narrow, *every_second).get(), expected, rtol=1e-4)


@pytest.mark.parametrize("name", SURROGATES)
def test_with_lif_backward_with_every_surrogate(gpu, rng, name):
    x, gs, norm = floats(rng, 4, 6, 5), floats(rng, 4, 6, 5), statistics(rng, 5)
    neuron = (*norm, Firing(surrogate=SURROGATES[name](1.5)))
    args = (gs, x, reference.batch_norm_lif_forward(x, *neuron), *neuron)
    check_lif_backward(gpu, args)
