"""Operators and methods of Tensor."""

import numpy as np
import pytest

from snncore import Tensor
from snncore import functions as F


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
        (x.T, a.T),
        (x.flatten(), a.ravel()),
        (x[None].flatten(1), a.reshape(1, 4)),
        (x.flatten(2), a[..., None]),
        (x[:0].flatten(1), a[:0]),
        (x[:, np.int64(1)], a[:, 1]),
        (abs(x), abs(a)),
        (x.abs(), abs(a)),
        (x.max(), a.max()),
        (x.max(axis=0, keepdims=True), a.max(axis=0, keepdims=True)),
        (x**2, a * a),
        (x**3, a**3),
        (x.exp(), np.exp(a)),
        (x.tanh(), np.tanh(a)),
        (abs(x).sqrt(), np.sqrt(abs(a))),
        (abs(x).log(), np.log(abs(a))),
    ]:
        assert isinstance(found, Tensor)
        np.testing.assert_array_equal(found.data, expected)


def test_what_gives_arrays_or_numbers(x):
    a = x.data
    assert len(x) == 2
    assert x.numpy() is a
    for found, expected in [
        (x > 1, a > 1),
        (x >= b_of(a), a >= b_of(a)),
        (x < Tensor(b_of(a)), a < b_of(a)),
        (x <= 3, a <= 3),
        (x.argmax(), a.argmax()),
        (x.argmax(axis=1), a.argmax(axis=1)),
        (np.asarray(x.detach()), a),
        (np.asarray(x.detach(), np.float64), a.astype(np.float64)),
    ]:
        assert isinstance(found, np.ndarray | np.integer)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(x.sigmoid().data, 1 / (1 + np.exp(-a)), rtol=1e-6)
    assert (bool(x[0, 0] > 0), bool(x[0, 0]), bool(Tensor(0.0))) == (True, True, False)


def b_of(a):
    return np.full_like(a, 3.0)


def test_what_has_no_answer_is_refused(x):
    with pytest.raises(TypeError, match=r"len: expected a tensor with axes, found one of shape \(\)"):
        len(x.sum())
    with pytest.raises(ValueError, match="truth value of an array with more than one element"):
        bool(x)
    with pytest.raises(TypeError, match=r"NumPy would cut the gradient off; use \.data"):
        np.asarray(x)
    with pytest.raises(TypeError, match=r"index: expected integers, slices, \.\.\. or None, found bool"):
        x[True]
    with pytest.raises(TypeError, match="found bool"):
        x[0, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [[0.1, 3], (1, 2), np.ones(2), np.arange(2), np.ones(2, bool), np.float32([1, 2])])
def test_constant_arrays_and_lists_change_no_type(dtype, constant):
    x = Tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
    c = np.asarray(constant, dtype)
    for y, expected in [
        (x + constant, x.data + c),
        (constant - x, c - x.data),
        (x * constant, x.data * c),
        (constant / x, c / x.data),
    ]:
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.data, expected)
    assert (Tensor(np.ones(2, np.uint8)) * constant).dtype == np.float32


def test_a_tensor_keeps_its_type_and_so_do_spikes():
    x = Tensor(np.ones(2, np.float32))
    assert (x + Tensor(np.ones(2))).dtype == np.float64
    assert (Tensor(np.ones(2, np.uint8)) + np.ones(2, np.uint8)).dtype == np.uint8


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


def test_arrays_and_lists_may_stand_before_a_matrix_product():
    x = Tensor(np.arange(4, dtype=np.float32).reshape(2, 2), requires_grad=True)
    for left in (np.array([[1, 2]]), [[1, 2]]):
        y = left @ x
        assert y.dtype == np.float32
        assert y.data.tolist() == [[4.0, 7.0]]
        x.zero_grad()
        y.sum().backward()
        assert x.grad.tolist() == [[1.0, 1.0], [2.0, 2.0]]


def test_a_tensor_of_one_entry_has_no_rows_and_others_have_those_of_their_first_axis():
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    first, second = x
    (second * 2).sum().backward()
    assert first.data.tolist() == [0, 1, 2]
    assert x.grad.tolist() == [[0] * 3, [2] * 3]
    with pytest.raises(TypeError, match="expected a tensor with axes"):
        list(x.sum())


def test_shapes_and_axes_may_be_in_a_list_and_what_is_no_axis_is_named():
    x = Tensor(np.zeros((2, 3)))
    assert x.reshape([3, 2]).shape == x.transpose((1, 0)).shape == x.transpose([1, 0]).shape == (3, 2)
    assert x.flatten(-1).shape == (2, 3)
    for start in (3, -3):
        with pytest.raises(ValueError, match=rf"flatten: .* of shape \(2, 3\) to start from, found {start}"):
            x.flatten(start)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.sum(1.0), r"Sum: expected axes of an array of shape \(2, 3\), each once, found 1\.0"),
        (lambda x: x.mean("a"), r"Mean: expected axes of .* found a"),
        (lambda x: x.sum(True), r"Sum: expected axes of .* found True"),
        (lambda x: x.max((0, 1)), r"Max: expected the number of one axis, found \(0, 1\)"),
        (lambda x: F.Softmax(None)(x), "Softmax: expected the number of one axis, found None"),
        (lambda x: F.Stack("a")(x, x), "Stack: expected the number of one axis, found 'a'"),
        (lambda x: F.Concat(2)(x, x), r"Concat: expected an axis that all arrays have, found 2 and arrays \(2, 3\), "),
    ],
)
def test_an_axis_that_is_none_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(Tensor(np.zeros((2, 3))))


def test_a_list_of_tensors_is_not_taken_for_one_array():
    """Concat of one array, made of the rows of two, would be Stack, and their past would be lost."""
    x = Tensor(np.zeros(2))
    with pytest.raises(TypeError, match="expected an array or numbers, found a list of tensors; Stack joins them"):
        F.Concat()([x, x])
