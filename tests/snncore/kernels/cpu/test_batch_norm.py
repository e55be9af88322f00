"""Batch normalisation without a LIF behind it: the reference's outputs to the bit, its gradients to rounding."""

import numpy as np
import pytest

from snncore.kernels import cpu, reference
from tests.snncore.kernels.agreement import assert_agrees
from tests.snncore.kernels.cpu.test_batch_norm_lif import SHAPES, problem


@pytest.mark.parametrize("shape", [*SHAPES, (1, 1), (3, 20_000, 2)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_outputs_to_the_bit_and_gradients_to_rounding(shape, offset):
    x, (mean, inv_std, gamma, beta), gy = problem(shape)
    x, mean = x + np.float32(offset), mean + offset
    found = cpu.batch_norm_forward(x, mean, inv_std, gamma, beta)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, reference.batch_norm_forward(x, mean, inv_std, gamma, beta))
    mean = mean.astype(np.float32).astype(np.float64)  # as both kernels round it
    wide = gy.astype(np.float64), x.astype(np.float64), mean, inv_std
    sums, right = cpu.batch_norm_gradient_sums(gy, x, mean, inv_std), reference.batch_norm_gradient_sums(*wide)
    assert sums.dtype == np.float64
    for found, expected in zip(sums, right, strict=True):
        assert_agrees(found, expected, 2e-6, abs(wide[0]).sum() / shape[-1] * inv_std.max())
    for count in (None, x.size // shape[-1]):
        expected = reference.batch_norm_backward(*wide, gamma.astype(np.float64), right, count)
        assert_agrees(cpu.batch_norm_backward(gy, x, mean, inv_std, gamma, sums, count), expected, 2e-6)


def test_other_types_and_nothing_at_all_are_the_reference():
    x, (mean, inv_std, gamma, beta), gy = problem((3, 4, 5))
    wide = x.astype(np.float64)
    for one in (wide, x[:0]):
        found = cpu.batch_norm_forward(one, mean, inv_std, gamma, beta)
        np.testing.assert_array_equal(found, reference.batch_norm_forward(one, mean, inv_std, gamma, beta))
    right = reference.batch_norm_gradient_sums(gy, wide, mean, inv_std)
    np.testing.assert_array_equal(cpu.batch_norm_gradient_sums(gy, wide, mean, inv_std), right)
    found = cpu.batch_norm_backward(gy, wide, mean, inv_std, gamma, right, 12)
    np.testing.assert_array_equal(found, reference.batch_norm_backward(gy, wide, mean, inv_std, gamma, right, 12))


def test_a_gradient_that_is_not_finite_spreads_as_in_the_reference():
    x, (mean, inv_std, gamma, _), gy = problem((3, 4, 5))
    gy[1, 2, 3] = np.nan
    sums = cpu.batch_norm_gradient_sums(gy, x, mean, inv_std)
    gx = cpu.batch_norm_backward(gy, x, mean, inv_std, gamma, sums, 12)
    assert np.isnan(sums).tolist() == [[False, False, False, True, False]] * 2
    assert np.isnan(gx).sum() == 12
    assert np.isnan(gx[..., 3]).all()
