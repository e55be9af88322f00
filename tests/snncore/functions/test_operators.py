"""Operators and methods of Tensor."""

import numpy as np
import pytest

from snncore import Tensor


@pytest.fixture
def x():
    return Tensor(np.array([[1.0, -2.0], [3.0, 4.0]], np.float32), requires_grad=True)


def test_operators_compute_what_they_say(x):
    b = np.array([2.0, 4.0], np.float32)
    a = x.data
    for found, expected in [
        (x + b, a + b),
        (x - b, a - b),
        (x * b, a * b),
        (x / b, a / b),
        (x @ a, a @ a),
        (-x, -a),
        (2 + x, 2 + a),
        (2 - x, 2 - a),
        (3 * x, 3 * a),
        (6 / x, 6 / a),
        (x[0], a[0]),
        (x[..., 1:], a[..., 1:]),
        (x[None, -1], a[None, -1]),
        (x.reshape(4), a.reshape(4)),
        (x.transpose(), a.T),
        (x.sum(), a.sum()),
        (x.sum(axis=0), a.sum(axis=0)),
        (x.mean(axis=(0, 1), keepdims=True), a.mean(axis=(0, 1), keepdims=True)),
    ]:
        assert isinstance(found, Tensor)
        np.testing.assert_array_equal(found.data, expected)


def test_gradients_of_turned_operators_worked_out_by_hand():
    x = Tensor(np.array([2.0, -4.0]), requires_grad=True)
    (8 / x).sum().backward()
    np.testing.assert_array_equal(x.grad, [-2.0, -0.5])  # -8 / x^2
    x.zero_grad()
    (1 - x).sum().backward()
    np.testing.assert_array_equal(x.grad, [-1.0, -1.0])
    x.zero_grad()
    (-x * 3).sum().backward()
    np.testing.assert_array_equal(x.grad, [-3.0, -3.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [2, 0.1, True, np.float64(0.1)])
def test_numbers_change_no_type(dtype, number):
    x = Tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
    results = [x + number, number + x, x - number, number - x, x * number, number * x, x / number, number / x, -x]
    assert [y.dtype for y in results] == [np.dtype(dtype)] * 9
    np.testing.assert_array_equal(results[4].data, x.data * dtype(number))
    sum(results[1:], results[0]).sum().backward()
    assert x.grad.dtype == dtype


def test_spikes_beside_a_number_become_float32():
    s = Tensor(np.array([0, 1, 2], np.uint8))
    for y, expected in [(s * 0.5, [0, 0.5, 1]), (1 - s, [1, 0, -1]), (-s, [0, -1, -2]), (s / 2, [0, 0.5, 1])]:
        assert y.dtype == np.float32
        assert y.data.tolist() == expected


def test_an_array_on_the_left_gives_a_tensor_too(x):
    b = np.array([2.0, 4.0], np.float32)
    for found, expected in [(b + x, b + x.data), (b - x, b - x.data), (b * x, b * x.data), (b / x, b / x.data)]:
        assert isinstance(found, Tensor)
        np.testing.assert_array_equal(found.data, expected)
