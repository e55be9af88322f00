"""The twin that the neurons are held against is itself right."""

import math

import numpy as np
import pytest

from tests.reference.scalar_tape import Scalar, exp, grads, maximum, scalars, sigmoid, step, values


def test_slopes_of_a_formula_are_those_of_calculus():
    x, y = Scalar(2.0), Scalar(-3.0)
    f = (x * y - 1 / x) / (y + 5.0) + exp(x) - 3 * y
    f.backward()
    assert f.value == pytest.approx((-6 - 0.5) / 2 + math.exp(2) + 9, rel=1e-15)
    assert x.grad == pytest.approx((-3 + 1 / 4) / 2 + math.exp(2), rel=1e-15)
    assert y.grad == pytest.approx(2 / 2 - (-6 - 0.5) / 4 - 3, rel=1e-15)


def test_slopes_of_a_number_used_twice_add_up():
    x = Scalar(3.0)
    y = x * x
    (y * y + x).backward()
    assert x.grad == 4 * 27 + 1


def test_step_takes_the_given_slope_and_detach_stops_it():
    x, z = Scalar(0.0), Scalar(-0.1)
    s, r = step(x, lambda d: 7.0 + d), step(z, lambda d: 7.0 + d)
    assert (s.value, r.value) == (1.0, 0.0)
    (s * 2 + r + x.detach() * 5).backward()
    assert (x.grad, z.grad) == (14.0, 6.9)


def test_maximum_gives_the_slope_to_the_first_of_equal_ones():
    a, b = Scalar(1.0), Scalar(1.0)
    maximum(a, b).backward()
    assert (a.grad, b.grad) == (1.0, 0.0)


def test_arrays_of_scalars_compute_entry_by_entry():
    x, a = scalars([[1.0, 2.0], [3.0, 4.0]]), Scalar(0.5)
    y = a * x + 1.0 - x / 2
    (y.sum() + sigmoid(a) * 0).backward()
    np.testing.assert_array_equal(values(y), np.ones((2, 2)))
    np.testing.assert_array_equal(grads(x), np.zeros((2, 2)))
    assert a.grad == 10.0
