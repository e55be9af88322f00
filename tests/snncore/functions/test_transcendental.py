"""Exponential, logarithm, tanh, logistic function, roots and powers."""

import numpy as np
import pytest

from snncore import GradientError, Tensor, check_gradients, count_ops
from snncore import functions as F

CURVES = {  # function, one number, and the value and slope there, to 15 digits
    "exp": (F.Exp(), 0.5, 1.648721270700128, 1.648721270700128),
    "log": (F.Log(), 0.5, -0.693147180559945, 2.0),
    "tanh": (F.Tanh(), 0.5, 0.462117157260010, 0.786447732965927),
    "sigmoid": (F.Sigmoid(), 0.5, 0.622459331201855, 0.235003712201594),
    "sqrt": (F.Sqrt(), 0.25, 0.5, 1.0),
    "cube": (F.Power(3), 0.5, 0.125, 0.75),
    "square": (F.Power(2), -1.5, 2.25, -3.0),
    "root": (F.Power(0.5), 0.25, 0.5, 1.0),
    "inverse": (F.Power(-1), 2.0, 0.5, -0.25),
    "one": (F.Power(0), 3.0, 1.0, 0.0),
}
every_curve = pytest.mark.parametrize("name", CURVES)


@every_curve
def test_values_and_slopes_worked_out_by_hand(name):
    function, x, value, slope = CURVES[name]
    x = Tensor(np.array([x]), requires_grad=True)
    y = function(x)
    y.backward(np.array([3.0]))
    np.testing.assert_allclose(y.data, [value], rtol=1e-14)
    np.testing.assert_allclose(x.grad, [3 * slope], rtol=1e-13)


@every_curve
def test_gradients(name, rng):
    check_gradients(CURVES[name][0], [rng.uniform(0.2, 2.0, (3, 4))], rtol=1e-8)


def test_a_wrong_slope_is_caught(rng):
    class Wrong(F.Tanh):
        def backward(self, gy):
            (y,) = self.saved
            return gy * (1 - y)

    with pytest.raises(GradientError, match="input 0"):
        check_gradients(Wrong(), [rng.uniform(0.2, 2.0, 3)])


def test_large_arguments_of_the_logistic_function_do_not_overflow():
    y = F.Sigmoid()(np.array([-1000.0, 1000.0]))
    np.testing.assert_array_equal(y.data, [0.0, 1.0])


@pytest.mark.parametrize("function", [F.Exp(), F.Tanh(), F.Sigmoid(), F.Power(3)])
def test_spikes_become_float32(function):
    spikes = np.array([0, 1, 2, 200], np.uint8)
    y = F.Power(3)(spikes) if isinstance(function, F.Power) else function(spikes[:3])
    assert y.dtype == np.float32
    if isinstance(function, F.Power):
        np.testing.assert_array_equal(y.data, [0, 1, 8, 8e6])


@pytest.mark.parametrize("function", [F.Log(), F.Sqrt()])
def test_logarithms_and_roots_of_spikes_are_refused(function):
    with pytest.raises(TypeError, match=f"{function.name}: expected x to be floating point, found uint8"):
        function(np.ones(2, np.uint8))


@pytest.mark.parametrize("exponent", ["2", None, True, np.ones(2)])
def test_an_exponent_that_is_no_number_is_refused(exponent):
    with pytest.raises(TypeError, match="Power: expected a number as exponent"):
        F.Power(exponent)


def test_the_power_of_nought_has_no_slope_at_0():
    x = Tensor(np.zeros(2), requires_grad=True)
    (x**0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.0])


@pytest.mark.parametrize(
    ("function", "backward"),
    [
        (F.Exp(), {"back_mul": 6}),  # gy y
        (F.Log(), {"back_mul": 6}),
        (F.Tanh(), {"back_mul": 12, "back_add": 6}),  # y y, 1 - that, gy that
        (F.Sigmoid(), {"back_mul": 12, "back_add": 6}),
        (F.Sqrt(), {"back_mul": 12}),
        (F.Power(3), {"back_mul": 12, "back_special": 6}),
        (F.Power(2), {"back_mul": 12}),
    ],
)
def test_counts_of_backward_by_hand(function, backward):
    with count_ops(backward=True) as ops:
        function(Tensor(np.full((2, 3), 0.5), requires_grad=True))
    forward = {"elem_mul": 6} if vars(function) == {"exponent": 2.0} else {"special": 6}
    assert ops.calls[0].cost.totals() == forward | backward
