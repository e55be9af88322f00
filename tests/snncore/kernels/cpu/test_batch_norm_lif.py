"""Fused BatchNorm and LIF: the reference's spikes to the bit, its gradients to rounding."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncore import surrogate as S
from snncore.firing import Firing
from snncore.kernels import cpu, reference
from snncore.surrogate import SURROGATES, relaxed
from tests.snncore.kernels.agreement import assert_agrees
from tests.snncore.kernels.norms import lif_gradients

SHAPES = [(4, 2, 5, 3, 7), (1, 3, 2), (3, 40, 64), (2, 1, 3, 3, 1500), (5, 600, 3)]


def problem(shape, seed=0):
    """Return x, (mean, inv_std, gamma, beta) and gs, float32 but for the statistics, [C] float64."""
    rng = np.random.default_rng(seed)
    channels = shape[-1]
    x = rng.normal(0.5, 1.0, shape).astype(np.float32)
    norm = (rng.standard_normal(channels) * 0.1, rng.uniform(0.5, 2.0, channels))
    affine = (rng.uniform(0.5, 1.5, channels).astype(np.float32), rng.normal(0.5, 0.3, channels).astype(np.float32))
    return x, norm + affine, rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("v_reset", [None, 0.1])
def test_spikes_to_the_bit_and_gradients_to_rounding(shape, surrogate, v_reset):
    x, norm, gs = problem(shape)
    firing = Firing(0.5, 1.0, v_reset, SURROGATES[surrogate]())
    s = cpu.batch_norm_lif_forward(x, *norm, firing)
    right = reference.batch_norm_lif_forward(x, *norm, firing)
    assert s.dtype == np.uint8
    assert 0.05 < right.mean() < 0.95
    np.testing.assert_array_equal(s, right)
    for detach_reset in (False, True):
        for training in (False, True):
            args = (gs, x, s, *norm, replace(firing, detach_reset=detach_reset), training)
            for found, expected in zip(lif_gradients(cpu, *args), lif_gradients(reference, *args), strict=True):
                assert_agrees(found, expected, 2e-5)


@given(
    st.integers(1, 6),
    st.integers(1, 300),
    st.sampled_from([1, 3, 64, 100]),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    st.integers(0, 2**16),
)
def test_spikes_to_the_bit_at_any_size(steps, positions, channels, decay, seed):
    x, norm, _ = problem((steps, positions, channels), seed)
    firing = Firing(decay, 0.7)
    found = cpu.batch_norm_lif_forward(x, *norm, firing)
    np.testing.assert_array_equal(found, reference.batch_norm_lif_forward(x, *norm, firing))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("shape", [(4, 3, 9, 9, 6), (2, 5), (3, 700, 16), (64, 1500)])
def test_statistics_far_from_zero_and_near(rng, shape, offset):
    x = (rng.standard_normal(shape) * 2 + offset).astype(np.float32)
    axes = tuple(range(x.ndim - 1))
    count, mean, var = cpu.batch_norm_statistics(x)
    assert count == x.size // shape[-1]
    assert mean.dtype == var.dtype == np.float64
    np.testing.assert_allclose(mean, x.mean(axis=axes, dtype=np.float64), rtol=1e-7, atol=5e-7)
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=axes), rtol=1e-5)


def test_a_membrane_on_the_threshold_fires():
    x = np.array([[[1.0], [np.nextafter(np.float32(1), np.float32(0))]]], np.float32)
    identity = (np.zeros(1), np.ones(1), np.ones(1, np.float32), np.zeros(1, np.float32))
    s = cpu.batch_norm_lif_forward(x, *identity, Firing())
    assert s.ravel().tolist() == [1, 0]


def test_a_membrane_that_is_not_finite_is_treated_alike():
    x = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32).reshape(1, 4, 1).repeat(3, axis=0)
    identity = (np.zeros(1), np.ones(1), np.ones(1, np.float32), np.zeros(1, np.float32))
    firing = Firing()
    with np.errstate(invalid="ignore"):
        right = reference.batch_norm_lif_forward(x, *identity, firing)
    np.testing.assert_array_equal(cpu.batch_norm_lif_forward(x, *identity, firing), right)


class Own(S.Sigmoid):
    """A surrogate that the compiled kernels do not know."""

    def derivative(self, x):
        return np.full_like(x, 0.25)


def test_what_is_not_compiled_is_the_reference(rng):
    x, norm, gs = problem((3, 4, 5))
    firing, own = Firing(), Firing(surrogate=Own())
    s = reference.batch_norm_lif_forward(x, *norm, own)
    args = (gs, x, s, *norm, own)
    expected = reference.batch_norm_lif_gradient_sums(*args)
    for found, right in zip(cpu.batch_norm_lif_gradient_sums(*args), expected, strict=True):
        np.testing.assert_array_equal(found, right)
    with relaxed():
        smooth = cpu.batch_norm_lif_forward(x, *norm, firing)
    assert smooth.dtype == np.float32
    assert 0 < smooth.min() < smooth.max() < 1
    wide = cpu.batch_norm_lif_forward(x.astype(np.float64), *norm, firing)
    np.testing.assert_array_equal(wide, reference.batch_norm_lif_forward(x.astype(np.float64), *norm, firing))
