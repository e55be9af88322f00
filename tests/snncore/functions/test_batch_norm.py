"""Batch normalisation against plain numbers and finite differences, in training and in evaluation."""

import numpy as np
import pytest

from snncore import Tensor, check_gradients
from snncore.functions import BatchNorm
from tests.reference import batch_norm as naive
from tests.snncore.calls import differentiate

SHAPES = [(2, 3, 2, 2, 3), (5, 2), (2, 1, 1, 1, 4), (1, 1, 3, 2, 1)]


def fresh(channels):
    return np.zeros(channels), np.ones(channels)


def problem(rng, shape):
    x = rng.normal(3.0, 2.0, shape)
    return x, rng.uniform(0.5, 1.5, shape[-1]), rng.standard_normal(shape[-1])


def test_two_entries_worked_out_by_hand():
    # 1 and 5: mean 3, variance 4 (unbiased 8); eps 0 gives z = -1, 1
    mean, var = fresh(1)
    y = BatchNorm(mean, var, eps=0.0)(np.array([[1.0], [5.0]]), np.array([2.0]), np.array([10.0]))
    np.testing.assert_allclose(y.data.ravel(), [8.0, 12.0], rtol=1e-15)
    np.testing.assert_allclose(mean, [0.3], rtol=1e-15)  # 0 + 0.1 (3 - 0)
    np.testing.assert_allclose(var, [1.7], rtol=1e-15)  # 1 + 0.1 (8 - 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_training_equals_plain_numbers_forward_and_back(rng, shape):
    x, gamma, beta = problem(rng, shape)
    gy = rng.standard_normal(shape)
    rows, flat_gy = x.reshape(-1, shape[-1]), gy.reshape(-1, shape[-1])
    expected = naive.batch_norm(rows, gamma, beta, *naive.statistics(rows), 1e-5)
    (y,), gradients = differentiate(BatchNorm(*fresh(shape[-1])), [x, gamma, beta], [gy])
    np.testing.assert_allclose(y.reshape(rows.shape), expected, rtol=0, atol=1e-12)
    for found, right in zip(gradients, naive.batch_norm_gradients(rows, flat_gy, gamma, 1e-5), strict=True):
        np.testing.assert_allclose(found.reshape(right.shape), right, rtol=0, atol=1e-11)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_gradient_is_the_derivative(rng, shape, training):
    mean, var = rng.standard_normal(shape[-1]), rng.uniform(0.5, 2.0, shape[-1])
    function = BatchNorm(mean, var, training)
    check_gradients(function, problem(rng, shape), names=["x", "gamma", "beta"], rtol=1e-7, atol=1e-8)


def test_evaluation_uses_the_running_statistics_and_leaves_them(rng):
    x, gamma, beta = problem(rng, (2, 3, 2, 2, 3))
    mean, var = rng.standard_normal(3), rng.uniform(0.5, 2.0, 3)
    kept = mean.copy(), var.copy()
    gy = rng.standard_normal(x.shape)
    (y,), (gx, ggamma, gbeta) = differentiate(BatchNorm(mean, var, training=False), [x, gamma, beta], [gy])
    z = (x - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(y, gamma * z + beta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(gx, gy * gamma / np.sqrt(var + 1e-5), rtol=1e-12)
    np.testing.assert_allclose(ggamma, (gy * z).sum(axis=(0, 1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(gbeta, gy.sum(axis=(0, 1, 2, 3)), rtol=1e-12)
    np.testing.assert_array_equal([mean, var], kept)


def test_running_statistics_move_by_the_momentum_towards_those_of_each_batch(rng):
    mean, var = fresh(3)
    right_mean, right_var = fresh(3)
    function = BatchNorm(mean, var, momentum=0.25)
    for _ in range(3):
        x, gamma, beta = problem(rng, (2, 3, 2, 2, 3))
        function(x, gamma, beta)
        batch_mean, batch_var = naive.statistics(x.reshape(-1, 3))
        right_mean += 0.25 * (batch_mean - right_mean)
        right_var += 0.25 * (batch_var * 24 / 23 - right_var)
    np.testing.assert_allclose(mean, right_mean, rtol=1e-13)
    np.testing.assert_allclose(var, right_var, rtol=1e-13)


def test_float32_statistics_survive_a_mean_far_from_zero(rng):
    x = (rng.standard_normal((4, 2, 8, 8, 2)) + 1000).astype(np.float32)
    y = BatchNorm(*fresh(2))(x, np.ones(2, np.float32), np.zeros(2, np.float32)).data
    exact = x.astype(np.float64)
    z = (exact - exact.mean(axis=(0, 1, 2, 3))) / np.sqrt(exact.var(axis=(0, 1, 2, 3)) + 1e-5)
    np.testing.assert_allclose(y, z, rtol=0, atol=2e-4)  # one unit in the last place of 1000 is 6e-5


def test_one_entry_a_channel_is_refused_in_training_only():
    x, one = np.ones((1, 1, 1, 1, 2)), np.ones(2)
    with pytest.raises(ValueError, match=r"more than one entry a channel, found x \(1, 1, 1, 1, 2\)"):
        BatchNorm(*fresh(2))(x, one, one)
    y = BatchNorm(*fresh(2), training=False, eps=0.0)(x, one, one)
    np.testing.assert_array_equal(y.data, np.full(x.shape, 2.0))


def test_another_number_of_channels_is_refused_and_named():
    with pytest.raises(ValueError, match=r"expected gamma of shape \(2,\), found \(3,\)"):
        BatchNorm(*fresh(3))(np.ones((4, 2)), np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match=r"\(1,\)"):  # would be broadcast over the three channels
        BatchNorm(*fresh(3))(np.ones((4, 3)), np.ones(3), np.ones(1))
    with pytest.raises(ValueError, match=r"expected running_var of shape \(3,\), found \(1,\)"):
        BatchNorm(np.zeros(3), np.ones(1))(np.ones((4, 3)), np.ones(3), np.ones(3))


def test_evaluation_of_an_empty_batch_has_empty_and_zero_gradients():
    """Nothing is divided by the number of entries, which belongs to training: a warning would be an error here."""
    x, one = np.zeros((2, 0, 3), np.float32), np.ones(3, np.float32)
    _, (gx, ggamma, gbeta) = differentiate(BatchNorm(one.copy(), one.copy(), False), [x, one, one], [x])
    assert gx.shape == x.shape
    assert ggamma.tolist() == gbeta.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("statistic", "found"),
    [([0.0, 0.0], "list"), (None, "NoneType"), (np.zeros(2, int), "int64"), (Tensor(np.zeros(2)), "Tensor")],
)
@pytest.mark.parametrize("name", ["running_mean", "running_var"])
def test_a_running_statistic_that_training_could_not_change_is_named(name, statistic, found):
    """A tensor would be left as it was: += makes another."""
    given = {"running_mean": np.zeros(2), "running_var": np.ones(2), name: statistic}
    with pytest.raises(TypeError, match=f"BatchNorm: expected {name}, an array of floats .*, found {found}"):
        BatchNorm(**given)(np.ones((4, 2)), np.ones(2), np.ones(2))


def test_a_running_variance_of_other_channels_is_named():
    x, one = np.ones((4, 2)), np.ones(2)
    for training in (True, False):  # of shape (1,) evaluation would spread it
        with pytest.raises(ValueError, match=r"BatchNorm: expected running_var of shape \(2,\), found \(1,\)"):
            BatchNorm(np.zeros(2), np.ones(1), training)(x, one, one)
