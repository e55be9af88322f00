"""Operations that move entries."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.functions import Concat, GetItem, Reshape, Stack, Transpose
from tests.snncore.calls import differentiate

INDICES = [
    0,
    -1,
    slice(None),
    slice(1, None, 2),
    slice(None, None, -1),
    (0, 1),
    (..., 0),
    (None, 1),
    (slice(1), ..., -2),
]


@pytest.mark.parametrize("index", INDICES)
def test_getitem_gives_what_numpy_gives_and_its_gradient_is_the_derivative(rng, index):
    x = rng.standard_normal((3, 2, 4))
    np.testing.assert_array_equal(GetItem(index)(x).data, x[index])
    check_gradients(GetItem(index), [x], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("index", [[0, 1], np.array([0]), "a", 1.0, (0, [1]), True, (0, False)])
def test_other_indices_are_refused(index):
    with pytest.raises(TypeError, match=r"index: expected integers, slices, \.\.\. or None, found"):
        GetItem(index)


@pytest.mark.parametrize("axes", [(), (1, 0, 2), (2, 0, 1), (-1, 0, 1), (0, -1, -2)])
def test_transpose_gives_what_numpy_gives_and_its_gradient_is_the_derivative(rng, axes):
    x = rng.standard_normal((2, 3, 4))
    np.testing.assert_array_equal(Transpose(*axes)(x).data, x.transpose(axes or None))
    check_gradients(Transpose(*axes), [x], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("shape", [(6, 4), (24,), (-1, 2), (2, 1, 12)])
def test_reshape_keeps_the_order_and_its_gradient_is_the_derivative(rng, shape):
    x = rng.standard_normal((2, 3, 4))
    np.testing.assert_array_equal(Reshape(*shape)(x).data.ravel(), x.ravel())
    check_gradients(Reshape(*shape), [x], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat_joins_and_its_gradient_is_the_derivative(rng, axis):
    shapes = [[2, 3, 2] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[axis] = i + 1
    xs = [rng.standard_normal(shape) for shape in shapes]
    np.testing.assert_array_equal(Concat(axis)(*xs).data, np.concatenate(xs, axis))
    check_gradients(Concat(axis), xs, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stack_joins_along_a_new_axis_and_its_gradient_is_the_derivative(rng, axis):
    xs = list(rng.standard_normal((3, 2, 2)))
    np.testing.assert_array_equal(Stack(axis)(*xs).data, np.stack(xs, axis))
    check_gradients(Stack(axis), xs, rtol=1e-8, atol=1e-9)


def test_spikes_stay_spikes_when_they_are_moved():
    s = np.array([[0, 1], [1, 1]], np.uint8)
    for function, n in [(Reshape(4), 1), (Transpose(), 1), (GetItem(0), 1), (Concat(), 2), (Stack(), 2)]:
        outputs, gradients = differentiate(function, [s] * n, [np.ones(function(*[s] * n).shape, np.float32)])
        assert outputs[0].dtype == np.uint8
        assert {g.dtype for g in gradients} == {np.dtype(np.float32)}
        assert sum(g.sum() for g in gradients) == outputs[0].size


def test_shapes_that_do_not_fit_are_refused_and_named():
    with pytest.raises(ValueError, match=r"6 into shape \(4,\)"):
        Reshape(4)(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"size 2.*size 3"):
        Concat(0)(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="same shape"):
        Stack()(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="axes don't match"):
        Transpose(0, 1)(np.ones(3))
