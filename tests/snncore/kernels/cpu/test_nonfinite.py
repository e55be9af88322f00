"""NaN and infinities: what docs/performance.md says of them, for every set of kernels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore import Tensor, nn
from snncore.kernels import cpu, reference
from snncore.kernels.choice import use_kernels
from tests.snncore.kernels.cpu.layers import layers

SETS = ("auto", "event", "dense")
BAD = (np.nan, np.inf, -np.inf, 3e38)
BOUND = 2e-5


def spoil(rng, x, share=0.02):
    """Return x as float32 with a few entries that are NaN, infinite, or too large for a sum; at least one."""
    bad = rng.random(x.shape) < share
    bad.flat[rng.integers(x.size)] = True
    return np.where(bad, rng.choice(BAD, x.shape), x).astype(np.float32)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the reference multiplies infinities by zeros
@pytest.mark.parametrize("choice", SETS)
@given(layers(), st.integers(0, 2**16))
def test_weights_that_are_not_finite_mean_what_they_mean_in_the_reference(choice, layer, seed):
    """Also those of silent channels, which an event-driven kernel does not read."""
    x, w, stride, padding = layer
    rng = np.random.default_rng(seed)
    w = spoil(rng, w)
    expected = reference.conv_forward(x, w, stride, padding)
    with use_kernels(choice):
        np.testing.assert_array_equal(cpu.conv_forward(x, w, stride, padding), expected)
        gy = rng.standard_normal(expected.shape).astype(np.float32)
        found = cpu.conv_backward_input(gy, w, x.shape, stride, padding)
    np.testing.assert_array_equal(found, reference.conv_backward_input(gy, w, x.shape, stride, padding))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("choice", "rows", "ci", "co"), [("event", 6, 5, 3), ("auto", 1024, 256, 256)])
def test_weights_of_a_matrix_that_are_not_finite_mean_what_they_mean_in_the_reference(rng, choice, rows, ci, co):
    """Also those of channel 0, which is silent, and which lists of events do not read."""
    x = (rng.random((rows, ci)) < 0.1).astype(np.uint8)
    x[:, 0] = 0
    for bad in BAD:
        w = rng.standard_normal((ci, co)).astype(np.float32)
        w[0, 1] = bad
        with use_kernels(choice):
            found = cpu.linear_forward(x, w)
        np.testing.assert_array_equal(found, reference.linear_forward(x, w))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(layers(), st.integers(0, 2**16))
def test_nothing_that_is_not_finite_in_the_reference_is_hidden(layer, seed):
    """Winograd may spread it over a tile, and what is finite then agrees; so for analog inputs and for gradients."""
    spikes, w, stride, padding = layer
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(spikes.shape)
    bad = rng.random(x.shape) < 0.002
    x = np.where(bad, rng.choice(BAD[:3], x.shape), x).astype(np.float32)
    y = reference.conv_forward(x, w, stride, padding)
    check(cpu.conv_forward(x, w, stride, padding), y)
    gy = rng.standard_normal(y.shape)
    gy = np.where(rng.random(y.shape) < 0.01, rng.choice(BAD[:3], y.shape), gy).astype(np.float32)
    for found, expected in (
        (
            cpu.conv_backward_input(gy, w, x.shape, stride, padding),
            reference.conv_backward_input(gy, w, x.shape, stride, padding),
        ),
        (
            cpu.conv_backward_weight(x, gy, w.shape[:2], stride, padding),
            reference.conv_backward_weight(x, gy, w.shape[:2], stride, padding),
        ),
    ):
        check(found, expected)


def check(found, expected):
    fine = np.isfinite(found)
    assert not (fine & ~np.isfinite(expected)).any()
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1)
    np.testing.assert_allclose(found[fine], expected[fine], rtol=0, atol=BOUND * scale)


def test_a_weight_gradient_from_events_reads_the_gradient_only_under_spikes():
    """Stated, not mended: the reference multiplies the NaN by the zeros of every channel, and says NaN for all."""
    x = np.zeros((1, 4, 4, 16), np.uint8)
    x[0, 0, 0, 3] = 1
    for place, expected in (((0, 0, 0), 1), ((0, 3, 3), 0)):
        gy = np.ones((1, 4, 4, 16), np.float32)
        gy[place] = np.nan
        gw = cpu.conv_backward_weight(x, gy, (1, 1), (1, 1), (0, 0))
        assert np.isnan(gw).sum() == 16 * expected
        assert np.isnan(reference.conv_backward_weight(x, gy, (1, 1), (1, 1), (0, 0))).all()


@pytest.mark.parametrize("choice", ["reference", *SETS])
def test_a_membrane_that_is_nan_never_fires(choice):
    x = np.full((3, 2, 4, 4, 16), 9, np.float32)
    x[0, 0, 1, 1] = np.nan
    net = nn.Sequential(nn.BatchNorm(16), nn.LIF(tau=2.0, v_threshold=1.0))
    net.eval()
    with use_kernels(choice):
        for layer in (net, nn.LIF(tau=2.0, v_threshold=1.0)):
            s = layer(Tensor(x)).data
            assert s[:, 0, 1, 1].sum() == 0
            assert s.sum() == s.size - 3 * 16
