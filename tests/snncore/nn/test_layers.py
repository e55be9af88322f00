"""Layers with weights, pooling, and their initial values."""

import numpy as np
import pytest

from snncore import Tensor, nn
from snncore import functions as F
from tests.reference import batch_norm as naive


def test_conv_and_linear_call_their_functions(rng):
    x = rng.standard_normal((2, 3, 6, 5, 4)).astype(np.float32)
    conv = nn.Conv2d(4, 7, kernel=(3, 2), stride=2, padding=(1, 0), rng=rng)
    np.testing.assert_array_equal(conv(x).data, F.Conv2d(2, (1, 0))(x, conv.weight.data, conv.bias.data).data)
    linear = nn.Linear(4, 7, rng=rng)
    np.testing.assert_array_equal(linear(x).data, F.Linear()(x, linear.weight.data, linear.bias.data).data)


def test_without_bias_there_is_none():
    conv, linear = nn.Conv2d(2, 3, bias=False), nn.Linear(2, 3, bias=False)
    assert [name for name, _ in nn.Sequential(conv, linear).named_parameters()] == ["0.weight", "1.weight"]
    assert conv(np.ones((1, 3, 3, 2), np.float32)).data.item(0) == pytest.approx(
        conv.weight.data[..., 0].sum(), rel=1e-5
    )


def test_pooling_layers_call_their_functions(rng):
    x = rng.standard_normal((2, 6, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(nn.MaxPool2d(3, 1)(x).data, F.MaxPool2d(3, 1)(x).data)
    np.testing.assert_array_equal(nn.AvgPool2d((2, 3))(x).data, F.AvgPool2d((2, 3))(x).data)
    np.testing.assert_array_equal(nn.GlobalAvgPool()(x).data, F.GlobalAvgPool()(x).data)


def test_initial_values_repeat_with_the_generator_and_stay_in_their_bounds():
    first, second, other = (nn.Conv2d(4, 8, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.weight.data, second.weight.data)
    assert (first.weight.data != other.weight.data).all()
    bound = (3 * 3 * 4) ** -0.5
    assert abs(first.weight.data).max() <= bound
    assert abs(first.bias.data).max() <= bound
    assert {p.dtype for p in first.parameters()} == {np.dtype(np.float32)}


def test_uniform_and_normal_initial_values_have_the_variance_they_promise():
    draws = 200_000  # the variance of 200,000 draws is within 1 % with overwhelming odds; the seed is fixed
    uniform = nn.fan_in_uniform(np.random.default_rng(0), (draws,), 25)
    normal = nn.kaiming_normal(np.random.default_rng(0), (draws,), 25)
    assert uniform.var() == pytest.approx(1 / 25 / 3, rel=0.01)
    assert normal.var() == pytest.approx(2 / 25, rel=0.01)
    assert (uniform.dtype, normal.dtype) == (np.float32, np.float32)


def test_batch_norm_moves_its_running_statistics_in_training_and_uses_them_in_evaluation(rng):
    norm = nn.BatchNorm(2, momentum=0.5).astype(np.float64)
    mean, var = np.zeros(2), np.ones(2)
    for _ in range(3):
        x = rng.normal(2.0, 3.0, (2, 2, 3, 1, 2))
        rows = x.reshape(-1, 2)
        batch_mean, batch_var = naive.statistics(rows)
        expected = naive.batch_norm(rows, np.ones(2), np.zeros(2), batch_mean, batch_var, 1e-5)
        np.testing.assert_allclose(norm(Tensor(x)).data.reshape(-1, 2), expected, rtol=0, atol=1e-12)
        mean, var = (mean + batch_mean) / 2, (var + batch_var * 12 / 11) / 2  # 12 entries a channel
    np.testing.assert_allclose(norm.running_mean.data, mean, rtol=1e-13)
    np.testing.assert_allclose(norm.running_var.data, var, rtol=1e-13)

    norm.eval()
    expected = naive.batch_norm(rows, np.ones(2), np.zeros(2), mean, var, 1e-5)
    np.testing.assert_allclose(norm(Tensor(x)).data.reshape(-1, 2), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(norm.running_mean.data, mean, rtol=1e-13)


def test_running_statistics_worked_out_by_hand():
    norm = nn.BatchNorm(1)
    norm(np.array([[1.0], [5.0]], np.float32))  # mean 3, unbiased variance 8
    assert norm.running_mean.data.item() == pytest.approx(0.3, rel=1e-6)
    assert norm.running_var.data.item() == pytest.approx(1.7, rel=1e-6)


def test_sequential_runs_its_modules_in_order(rng):
    first, second = nn.Linear(3, 4, rng=rng), nn.Linear(4, 2, rng=rng)
    x = rng.standard_normal((5, 3)).astype(np.float32)
    np.testing.assert_array_equal(nn.Sequential(first, second)(x).data, second(first(x)).data)
    assert nn.Sequential()(x) is x
