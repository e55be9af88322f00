"""Magnitudes and largest entries."""

import numpy as np
import pytest

from snncore import GradientError, Tensor, check_gradients, count_ops
from snncore import functions as F
from snncore.opcount import UnresolvedWarning


def test_magnitudes_and_their_slopes_by_hand():
    x = Tensor(np.array([-2.0, 0.0, 3.0]), requires_grad=True)
    y = F.Abs()(x)
    y.backward(np.array([5.0, 6.0, 7.0]))
    np.testing.assert_array_equal(y.data, [2.0, 0.0, 3.0])
    np.testing.assert_array_equal(x.grad, [-5.0, 0.0, 7.0])


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_the_first_of_the_largest_gets_the_gradient(axis, keepdims):
    a = np.array([[1.0, 4.0, 4.0], [3.0, 4.0, -1.0]])
    x = Tensor(a, requires_grad=True)
    y = F.Max(axis, keepdims)(x)
    np.testing.assert_array_equal(y.data, a.max(axis=axis, keepdims=keepdims))
    g = np.arange(1.0, y.size + 1).reshape(y.shape)
    y.backward(g)
    expected = {
        None: [[0, 1, 0], [0, 0, 0]],
        0: [[0, 2, 3], [1, 0, 0]],
        1: [[0, 1, 0], [0, 2, 0]],
    }
    np.testing.assert_array_equal(x.grad, expected[1 if axis == -1 else axis])


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_gradients(axis, rng):
    x = rng.permutation(24).reshape(2, 3, 4) / 5  # no two alike
    check_gradients(F.Max(axis), [x])
    check_gradients(F.Abs(), [x - 1.1])


def test_a_tie_is_no_derivative_and_is_caught():
    with pytest.raises(GradientError):
        check_gradients(F.Max(), [np.ones(3)])


def test_spikes_keep_their_type_and_their_gradient_is_float():
    x = Tensor(np.array([[0, 2, 1]], np.uint8), requires_grad=True)
    y = F.Max(1)(x)
    assert (y.dtype, y.item()) == (np.uint8, 2)
    y.backward()
    np.testing.assert_array_equal(x.grad, [[0.0, 1.0, 0.0]])
    assert x.grad.dtype == np.float32


def test_an_axis_that_is_not_there_or_empty_is_refused():
    with pytest.raises(ValueError, match=r"Max: expected an axis of an array of shape \(2, 3\), found 2"):
        F.Max(2)(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Max: expected at least one entry along axis 1, found x \(2, 0\)"):
        F.Max(1)(np.ones((2, 0)))


def test_comparisons_are_resolved_by_timestep_where_they_stay_within_one():
    with count_ops() as ops:
        F.Max(-1)(np.ones((4, 2, 5)))
        F.Max(0)(np.ones((4, 2, 5)))
    with pytest.warns(UnresolvedWarning, match="30 of 62"):
        assert ops.by_timestep("elem_compare") == [8] * 4  # 2 rows of 5
    assert ops.unresolved("elem_compare") == 30  # 10 columns of 4
