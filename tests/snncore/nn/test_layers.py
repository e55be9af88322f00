"""Layers with weights, pooling, and their initial values."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from snncore import Tensor, manual_seed, nn
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


def test_layer_norm_and_conv1d_call_their_functions(rng):
    x = rng.standard_normal((2, 3, 6, 4)).astype(np.float32)
    norm = nn.LayerNorm(4, eps=0.1)
    norm.weight.data[...] = [1, 2, 3, 4]
    expected = F.LayerNorm(0.1)(x, norm.weight.data, norm.bias.data)
    np.testing.assert_array_equal(norm(x).data, expected.data)
    conv = nn.Conv1d(4, 7, kernel=2, stride=2, padding=1, rng=rng)
    np.testing.assert_array_equal(conv(x).data, F.Conv1d(2, 1)(x, conv.weight.data, conv.bias.data).data)
    assert conv(x).shape == (2, 3, 4, 7)
    assert abs(conv.weight.data).max() <= 8**-0.5
    assert nn.Conv1d(4, 7, bias=False).bias is None


MAKERS = [lambda: nn.Linear(64, 64), lambda: nn.Conv2d(3, 3), lambda: nn.Conv1d(3, 9)]


@pytest.mark.parametrize("make", MAKERS)
def test_two_layers_made_without_a_generator_differ_and_a_seed_repeats_them(make):
    manual_seed(5)
    first, second = make().weight.data, make().weight.data
    assert (first != second).all()
    manual_seed(5)
    np.testing.assert_array_equal(make().weight.data, first)
    np.testing.assert_array_equal(make().weight.data, second)
    manual_seed(6)
    assert (make().weight.data != first).all()


def test_layers_of_different_kinds_do_not_share_numbers():
    conv, linear = nn.Conv2d(3, 3), nn.Linear(27, 3)
    assert (conv.weight.data.ravel() != linear.weight.data.ravel()).all()


def test_layers_made_with_a_generator_leave_the_stream_of_the_process_alone():
    manual_seed(0)
    expected = nn.Linear(2, 2).weight.data
    manual_seed(0)
    nn.Linear(2, 2, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(nn.Linear(2, 2).weight.data, expected)


def test_a_process_begins_with_seed_0_and_its_threads_share_the_stream():
    code = "from snncore import nn; print(nn.Linear(2, 2).weight.data.tolist())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    manual_seed(0)
    made = []
    threads = [threading.Thread(target=lambda: made.append(nn.Linear(2, 2).weight.data)) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    assert str(made[0].tolist()) == run.stdout.strip()
    assert (made[0] != made[1]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(0, 2), "Linear: expected in_features, an integer of at least 1, found 0"),
        (lambda: nn.Linear(2, 2.0), r"Linear: expected out_features, an integer of at least 1, found 2\.0"),
        (lambda: nn.Conv2d("a", 2), "Conv2d: expected in_channels, an integer of at least 1, found 'a'"),
        (lambda: nn.Conv2d(2, -1), "Conv2d: expected out_channels, an integer of at least 1, found -1"),
        (lambda: nn.Conv1d(1, 2, (3, 3)), r"Conv1d: expected kernel, an integer of at least 1, found \(3, 3\)"),
        (lambda: nn.GroupedConv2d(0, 0), "GroupedConv2d: expected in_channels, an integer of at least 1, found 0"),
        (lambda: nn.GroupedConv2d(2, 2, groups=1.0), r"groups: expected a number that divides .* found 1\.0"),
        (lambda: nn.BatchNorm(-1), "BatchNorm: expected channels, an integer of at least 1, found -1"),
        (lambda: nn.BatchNorm(3, eps=-1.0), r"eps: expected a finite number >= 0, found -1\.0"),
        (lambda: nn.BatchNorm(3, momentum=2), r"momentum: expected a number in \[0, 1\], found 2"),
        (lambda: nn.LayerNorm(3, eps=None), "eps: expected a finite number >= 0, found None"),
        (lambda: nn.MLIF(alpha=[0.5, 0.5]), r"alpha: expected a finite number, found \[0\.5, 0\.5\]"),
        (lambda: nn.MLIF(alpha=np.nan), "alpha: expected a finite number, found nan"),
        (lambda: nn.Dropout("half"), r"Dropout: expected a rate in \[0, 1\), found 'half'"),
        (lambda: nn.CLIF(tau="2"), "CLIF: tau must be at least 1, found '2'"),
    ],
)
def test_a_size_or_a_setting_that_no_layer_has_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_sizes_of_numpy_are_sizes():
    assert nn.Conv2d(np.int64(1), np.uint8(2), np.int32(3)).weight.shape == (3, 3, 1, 2)


def test_a_seed_in_the_place_of_a_generator_is_refused():
    with pytest.raises(TypeError, match=r"rng: expected a generator, such as np\.random\.default_rng\(0\), found 0"):
        nn.Linear(2, 2, rng=0)
