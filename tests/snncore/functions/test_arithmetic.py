"""Elementwise arithmetic, its broadcasting and its gradients."""

import numpy as np
import pytest

from snncore import check_gradients
from snncore.functions import Add, Cast, Div, Mul, ReLU, Sub
from tests.snncore.calls import differentiate

PAIRS = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 4), (3, 1)), ((), (2, 2)), ((1, 1), (2, 3)), ((3,), (1,))]


def test_values_and_gradients_worked_out_by_hand():
    a, b, gy = np.array([6.0, -2.0]), np.array([3.0, 4.0]), np.array([1.0, 10.0])
    expected = {
        Add: ([9, 2], [1, 10], [1, 10]),
        Sub: ([3, -6], [1, 10], [-1, -10]),
        Mul: ([18, -8], [3, 40], [6, -20]),
        Div: ([2, -0.5], [1 / 3, 2.5], [-2 / 3, 1.25]),  # gb = -gy a / b^2
    }
    for function, (y, ga, gb) in expected.items():
        outputs, gradients = differentiate(function(), [a, b], [gy])
        np.testing.assert_allclose(outputs[0], y, rtol=1e-15)
        np.testing.assert_allclose(gradients, [ga, gb], rtol=1e-15)


@pytest.mark.parametrize("shapes", PAIRS)
@pytest.mark.parametrize("function", [Add, Sub, Mul, Div])
def test_gradients_with_broadcasting_are_the_derivatives(rng, function, shapes):
    a, b = rng.standard_normal(shapes[0]), rng.uniform(0.5, 2.0, shapes[1])
    check_gradients(function(), [a, b], names=["a", "b"], rtol=1e-8, atol=1e-9)


def test_relu_is_the_larger_of_x_and_zero_with_gradient_zero_at_zero():
    x = np.array([-2.0, 0.0, 3.0])
    (y,), (gx,) = differentiate(ReLU(), [x], [np.array([5.0, 5.0, 5.0])])
    assert y.tolist() == [0.0, 0.0, 3.0]
    assert gx.tolist() == [0.0, 0.0, 5.0]


def test_relu_gradient_is_the_derivative(rng):
    x = rng.standard_normal((3, 4))
    x[abs(x) < 0.01] = 1.0  # away from the kink
    check_gradients(ReLU(), [x], rtol=1e-8, atol=1e-9)


def test_relu_of_infinity_is_infinity():
    assert ReLU()(np.array([np.inf])).data.tolist() == [np.inf]
    assert ReLU()(np.array([-np.inf])).data.tolist() == [0.0]


def test_sums_of_spikes_stay_bytes_and_differences_of_spikes_are_refused():
    s = np.array([0, 1, 2], np.uint8)
    y = Add()(s, s).data
    assert y.dtype == np.uint8
    assert y.tolist() == [0, 2, 4]
    assert Sub()(s, np.ones(3, np.float32)).data.tolist() == [-1.0, 0.0, 1.0]
    with pytest.raises(TypeError, match="Sub: expected at least one float array, found uint8 and uint8"):
        Sub()(s, s)


def test_cast_changes_the_type_and_its_gradient_comes_back_in_the_old_one():
    x = np.array([0.1, 2.0], np.float32)
    (y,), (gx,) = differentiate(Cast(np.float64), [x], [np.array([1.0, 3.0])])
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, x)
    assert gx.dtype == np.float32
    assert gx.tolist() == [1.0, 3.0]
    assert Cast("float32")(np.array([0, 2], np.uint8)).data.dtype == np.float32


def test_cast_to_an_integer_type_is_refused():
    with pytest.raises(TypeError, match="Cast: expected a float type, found uint8"):
        Cast(np.uint8)


@pytest.mark.parametrize("function", [Add, Sub, Mul, Div])
def test_shapes_that_do_not_broadcast_are_refused_and_named(function):
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        function()(np.ones(2), np.ones(3))
