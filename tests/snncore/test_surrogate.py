"""Surrogates: each derivative is that of its primitive, and each primitive rises from 0 to 1."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from snncore.surrogate import (
    SURROGATES,
    ATan,
    Erf,
    FastSigmoid,
    Rectangle,
    Sigmoid,
    Triangle,
    fire,
    relaxed,
    spike_dtype,
)

EACH = [Sigmoid(4.0), Sigmoid(1.0), ATan(2.0), ATan(5.0), Rectangle(1.0), Rectangle(0.4), Triangle(1.0), Triangle(2.5)]
EACH += [FastSigmoid(4.0), FastSigmoid(10.0), Erf(2.0), Erf(0.7)]
each = pytest.mark.parametrize("surrogate", EACH, ids=repr)


def kinks(surrogate):
    """Where the primitive or its derivative has a corner."""
    if isinstance(surrogate, Rectangle):
        return [-surrogate.width / 2, surrogate.width / 2]
    if isinstance(surrogate, Triangle):
        return [-surrogate.width, 0.0, surrogate.width]
    return [0.0]


@each
def test_derivative_is_that_of_the_primitive(surrogate):
    x = np.linspace(-3, 3, 601)
    for kink in kinks(surrogate):
        x = x[abs(x - kink) > 1e-4]
    eps = 1e-6
    numeric = (surrogate.primitive(x + eps) - surrogate.primitive(x - eps)) / (2 * eps)
    np.testing.assert_allclose(surrogate.derivative(x), numeric, rtol=0, atol=3e-9)


@each
def test_primitive_rises_from_0_through_one_half_to_1(surrogate):
    x = np.arange(-5000, 5001) / 100
    y = surrogate.primitive(x)
    assert (np.diff(y) >= -1e-15).all()
    assert surrogate.primitive(np.zeros(1)).tolist() == [0.5]
    np.testing.assert_allclose(surrogate.primitive(np.array([-1e9, 1e9])), [0, 1], rtol=0, atol=1e-8)
    np.testing.assert_allclose(y + y[::-1], 1, rtol=0, atol=1e-14)


@each
def test_derivative_is_even_never_negative_and_its_integral_is_1(surrogate):
    x = np.arange(-2000, 2001) / 100
    g = surrogate.derivative(x)
    assert (g >= 0).all()
    np.testing.assert_array_equal(g, g[::-1])
    if kinks(surrogate) == [0.0]:
        half, _ = quad(lambda e: surrogate.derivative(np.array([e])).item(), 0, np.inf, epsabs=1e-11, limit=200)
    else:
        half, _ = quad(lambda e: surrogate.derivative(np.array([e])).item(), 0, kinks(surrogate)[-1], epsabs=1e-11)
    assert 2 * half == pytest.approx(1, abs=1e-9)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_membranes_overflow_nothing_and_types_stay(surrogate, dtype):
    x = np.array([-1e4, -10, 0, 10, 1e4], dtype)
    before = x.copy()
    y, g = surrogate.primitive(x), surrogate.derivative(x)  # a warning is an error in these tests
    assert (y.dtype, g.dtype) == (dtype, dtype)
    assert np.isfinite(y).all()
    assert np.isfinite(g).all()
    np.testing.assert_array_equal(x, before)


@each
def test_single_numbers_are_taken_like_arrays(surrogate):
    for x in (-0.3, 0.0, 0.2):
        for one in (np.array(x), np.float64(x)):
            np.testing.assert_array_equal(surrogate.primitive(one), surrogate.primitive(np.array([x]))[0])
            np.testing.assert_array_equal(surrogate.derivative(one), surrogate.derivative(np.array([x]))[0])


@pytest.mark.parametrize(
    ("surrogate", "x", "primitive", "derivative"),
    [
        (Sigmoid(4.0), 0.0, 0.5, 1.0),
        (Sigmoid(4.0), math.log(3) / 4, 0.75, 0.75),  # 4 * 3/4 * 1/4
        (ATan(2.0), 0.0, 0.5, 1.0),
        (ATan(2.0), 1 / math.pi, 0.75, 0.5),  # atan(1) = pi / 4
        (Rectangle(0.5), 0.0, 0.5, 2.0),
        (Rectangle(0.5), 0.125, 0.75, 2.0),
        (Rectangle(0.5), 0.25, 1.0, 2.0),  # the edge belongs to the window
        (Rectangle(0.5), 0.26, 1.0, 0.0),
        (Triangle(2.0), 0.0, 0.5, 0.5),
        (Triangle(2.0), 1.0, 0.875, 0.25),  # 1/2 + 1/2 * 3/4
        (Triangle(2.0), -2.0, 0.0, 0.0),
        (FastSigmoid(4.0), 0.25, 0.75, 0.5),  # 4/2 / 2^2
        (FastSigmoid(4.0), -0.25, 0.25, 0.5),
        (Erf(2.0), 0.0, 0.5, 2 / math.sqrt(math.pi)),
        (Erf(2.0), 0.5, 0.5 + 0.5 * math.erf(1), 2 / math.sqrt(math.pi) / math.e),
    ],
)
def test_values_worked_out_by_hand(surrogate, x, primitive, derivative):
    assert surrogate.primitive(np.array([x])).item() == pytest.approx(primitive, abs=1e-15)
    assert surrogate.derivative(np.array([x])).item() == pytest.approx(derivative, rel=1e-14)


@pytest.mark.parametrize("bad", [0, -1.0, float("nan")])
@pytest.mark.parametrize("kind", SURROGATES.values())
def test_a_parameter_that_is_not_positive_is_refused_and_named(kind, bad):
    name = "width" if kind in (Rectangle, Triangle) else "slope"
    with pytest.raises(ValueError, match=f"{kind.__name__}: {name} must be positive, found {bad}"):
        kind(bad)


def test_surrogates_are_found_by_name_and_compare_by_value():
    assert sorted(SURROGATES) == ["atan", "erf", "fast-sigmoid", "rectangle", "sigmoid", "triangle"]
    assert {name: kind().__class__.__name__ for name, kind in SURROGATES.items()}["fast-sigmoid"] == "FastSigmoid"
    assert Sigmoid() == Sigmoid(4.0) != Sigmoid(2.0)


@each
def test_fire_is_the_step_or_in_relaxed_mode_the_primitive(surrogate):
    x = np.array([-0.2, 0.0, 0.3], np.float32)
    s = fire(x, surrogate)
    assert (s.dtype, s.tolist()) == (np.uint8, [0, 1, 1])
    assert spike_dtype(x) == np.uint8
    with relaxed():
        np.testing.assert_array_equal(fire(x, surrogate), surrogate.primitive(x))
        assert spike_dtype(x) == np.float32


@pytest.mark.parametrize("surrogate", [kind() for kind in SURROGATES.values()])
def test_integers_are_taken_as_the_numbers_that_they_are(surrogate):
    x = np.arange(-3, 4)
    for f in (surrogate.primitive, surrogate.derivative):
        np.testing.assert_array_equal(f(x), f(x.astype(np.float64)))


@pytest.mark.parametrize("slope", ["4", np.inf, np.nan, np.ones(2), None])
def test_a_slope_that_is_no_number_is_named(slope):
    with pytest.raises(ValueError, match="Sigmoid: slope must be positive, found"):
        Sigmoid(slope)
