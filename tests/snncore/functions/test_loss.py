"""Mean squared error and cross-entropy."""

import math

import numpy as np
import pytest

from snncore import Tensor, check_gradients
from snncore.functions import MSE, CrossEntropy, one_hot
from tests.snncore.calls import differentiate

ONE = [np.array(1.0)]


def test_mse_worked_out_by_hand():
    p, y = np.array([[1.0, 2.0], [0.0, 4.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])
    (loss,), (gp, gy) = differentiate(MSE(), [p, y], ONE)
    assert loss.item() == (0 + 4 + 1 + 9) / 4
    assert gp.tolist() == [[0.0, 1.0], [-0.5, 1.5]]  # 2 (p - y) / 4
    assert gy is None


def test_mse_takes_one_hot_labels_of_any_type():
    p, y = np.array([[0.5, 0.25]], np.float32), np.array([[1, 0]])
    for dtype in (np.uint8, np.int64, np.float64, bool):
        loss = MSE()(p, y.astype(dtype)).data
        assert loss.item() == (0.25 + 0.0625) / 2
        assert loss.dtype == np.float32


def test_cross_entropy_worked_out_by_hand():
    # p = log of (1, 2, 5): softmax (1, 2, 5) / 8
    p = np.log(np.array([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]))
    (loss,), (gp, _) = differentiate(CrossEntropy(), [p, np.array([2, 0])], ONE)
    assert loss.item() == pytest.approx((math.log(8 / 5) + math.log(8)) / 2, rel=1e-15)
    np.testing.assert_allclose(gp, np.array([[1, 2, -3], [-7, 2, 5]]) / 16, rtol=0, atol=1e-16)


@pytest.mark.parametrize("shape", [(1, 2), (3, 4), (5, 1)])
def test_loss_gradients_are_the_derivatives(rng, shape):
    p = rng.standard_normal(shape)
    check_gradients(MSE(), [p, rng.standard_normal(shape)], wrt=[0], rtol=1e-8, atol=1e-9)
    check_gradients(CrossEntropy(), [p, rng.integers(0, shape[1], shape[0])], rtol=1e-8, atol=1e-9)


def test_cross_entropy_of_huge_logits_neither_overflows_nor_loses_the_answer():
    p = np.array([[1e30, 0.0], [-1e30, 0.0]], np.float32)
    (loss,), (gp, _) = differentiate(CrossEntropy(), [p, np.array([0, 1])], ONE)
    assert loss.item() == 0.0
    np.testing.assert_array_equal(gp, np.zeros((2, 2)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_labels_may_have_any_integer_type(dtype):
    loss = CrossEntropy()(np.zeros((3, 4)), np.array([0, 3, 1], dtype))
    assert loss.item() == pytest.approx(math.log(4), rel=1e-15)


def test_shapes_and_labels_that_do_not_fit_are_refused_and_named():
    with pytest.raises(ValueError, match=r"MSE: .* \(2, 3\) and \(3,\)"):
        MSE()(np.ones((2, 3)), np.ones(3))
    with pytest.raises(ValueError, match=r"\(2, 3\) and int64 \(3,\)"):
        CrossEntropy()(np.ones((2, 3)), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match=r"\(2, 3\) and float64 \(2,\)"):
        CrossEntropy()(np.ones((2, 3)), np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="labels run from 0 to 3, classes are 3"):
        CrossEntropy()(np.ones((2, 3)), np.array([0, 3]))
    with pytest.raises(ValueError, match="labels run from -1 to 2, classes are 3"):
        CrossEntropy()(np.ones((2, 3)), np.array([-1, 2]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_one_hot_has_a_one_at_each_label(dtype):
    found = one_hot(np.array([2, 0], dtype), 3)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert one_hot(np.zeros(0, np.int64), 3, np.float64).shape == (0, 3)


@pytest.mark.parametrize(("labels", "ends"), [([-1, 0], "-1 to 0"), ([0, 3], "0 to 3"), ([-5, 9], "-5 to 9")])
def test_labels_that_are_no_class_are_refused_by_one_hot(labels, ends):
    with pytest.raises(ValueError, match=f"one_hot: labels run from {ends}, classes are 3"):
        one_hot(np.array(labels), 3)


@pytest.mark.parametrize("labels", [np.array([0.0, 1.0]), np.array([True, False]), np.eye(2, dtype=int), np.array(1)])
def test_labels_of_another_type_or_shape_are_refused_by_one_hot(labels):
    with pytest.raises(ValueError, match=r"one_hot: expected integer labels \[N\], found (float64|bool|int64) \("):
        one_hot(labels, 3)


def test_one_hot_takes_labels_in_a_list_or_a_tensor_and_names_classes_that_are_none():
    assert one_hot([1, 0], 2).tolist() == one_hot(Tensor(np.array([1, 0])), np.int64(2)).tolist() == [[0, 1], [1, 0]]
    for classes in (0, 2.0):
        with pytest.raises(ValueError, match=f"one_hot: expected classes, an integer of at least 1, found {classes}"):
            one_hot([0], classes)
