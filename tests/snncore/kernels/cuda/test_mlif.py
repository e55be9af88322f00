"""MLIF: spikes and membranes bit for bit, gradients to a few roundings."""

import numpy as np
import pytest

from snncore.firing import Firing
from snncore.kernels import cuda, reference
from snncore.kernels.cuda import mlif
from snncore.surrogate import SURROGATES
from tests.snncore.kernels.cuda.pairs import SIZES, assert_close, both, floats, up

NAMES = ("go", "gw", "galpha", "gu0")


def case(rng, kind, shape, spikes=True):
    """Currents o [T, N, H, W, C] and a weight of some kind, or None."""
    o = rng.integers(0, 3, shape).astype(np.uint8) if spikes else floats(rng, *shape)
    w = {"none": None, "pixel": floats(rng, *shape[2:4], 1, mean=1), "channel": floats(rng, shape[-1], mean=1)}[kind]
    return o, w


def backward_args(gs, gu, o, *neuron):
    """Arguments of the backward of `mlif_forward(o, *neuron)`, with the spikes of that."""
    return gs, gu, o, reference.mlif_forward(o, *neuron)[0], *neuron


@pytest.mark.parametrize("v_reset", [None, 0.0])
@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("kind", ["none", "pixel", "channel"])
@pytest.mark.parametrize("channels", SIZES)
def test_forward_is_the_reference_bit_for_bit(gpu, rng, channels, kind, spikes, v_reset):
    shape = (5, 2, 3, 2, channels)
    o, w = case(rng, kind, shape, spikes)
    for u0 in (None, floats(rng, *shape[1:])):
        alpha = np.array(0.7, np.float32)
        expected, got = both(gpu, "mlif_forward", o, w, alpha, u0, Firing(0.6, 1.0, v_reset))
        assert 0 < expected[0].mean() < 1
        for e, g in zip(expected, got, strict=True):
            assert g.dtype == e.dtype
            np.testing.assert_array_equal(g, e)


@pytest.mark.parametrize("v_reset", [None, 0.25])
@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("kind", ["none", "pixel"])
@pytest.mark.parametrize("channels", SIZES)
def test_backward(gpu, rng, channels, kind, spikes, v_reset):
    shape = (4, 3, 2, 3, channels)
    o, w = case(rng, kind, shape, spikes)
    gs, alpha = floats(rng, *shape), np.array(-0.8 if channels == 31 else 0.8, np.float32)
    state = floats(rng, *shape[1:]), floats(rng, *shape[1:])
    for u0, gu, detach in ((None, None, False), (*state, False), (None, state[1], True)):
        args = backward_args(gs, gu, o, w, alpha, u0, Firing(0.6, 1.0, v_reset, detach_reset=detach))
        expected, got = both(gpu, "mlif_backward", *args)
        assert_close(expected, got, 5e-6, NAMES)
        homes = [gpu.full(shape, np.nan, np.float32) for shape in ((1,), *(() if w is None else (w.shape,)))]
        out = homes[0] if w is None else tuple(homes)
        _, gw, galpha, _ = cuda.mlif_backward(*(up(gpu, a) for a in args), out=out)
        assert galpha is homes[0]
        first, second = (up(gpu, a) for a in (floats(rng, *shape), floats(rng, *shape)))
        rest = [up(gpu, a) for a in args[1:]]
        added = cuda.mlif_backward(first + second, *rest)
        for e, g in zip(added, cuda.mlif_backward(first, *rest, also=second), strict=True):
            assert (e is None and g is None) or (e == g).get().all()
        assert gw is (None if w is None else homes[1])
        for home, of_it in zip(homes, (got[2], got[1]), strict=False):
            np.testing.assert_array_equal(home.get().reshape(of_it.shape), of_it)


@pytest.mark.parametrize("name", SURROGATES)
def test_backward_with_every_surrogate(gpu, rng, name):
    shape = (4, 2, 3, 3, 5)
    o, w = case(rng, "pixel", shape)
    neuron = (w, np.array(0.9, np.float32), None, Firing(surrogate=SURROGATES[name](1.5)))
    args = backward_args(floats(rng, *shape), None, o, *neuron)
    assert_close(*both(gpu, "mlif_backward", *args), 5e-6, NAMES)


def test_more_samples_than_blocks_along_them(gpu, rng, monkeypatch):
    monkeypatch.setattr(mlif, "FILLING", 2 * 6 * 32)  # two chunks of samples for six pixels
    shape = (2, 9, 3, 2, 3)
    o, w = case(rng, "pixel", shape)
    neuron = (w, np.array(0.9, np.float32), None, Firing())
    args = backward_args(floats(rng, *shape), None, o, *neuron)
    assert_close(*both(gpu, "mlif_backward", *args), 5e-6, NAMES)


@pytest.mark.parametrize(
    ("samples", "threads", "chunks"), [(32, 1024 * 64, 8), (32, 64 * 256, 32), (9, 6 * 32, 9), (32, 10**7, 1)]
)
def test_chunks_of_samples_fill_the_device_and_have_one_size(samples, threads, chunks):
    assert mlif.chunks_for(samples, threads) == chunks
