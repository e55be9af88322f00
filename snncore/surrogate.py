"""Surrogate gradients: what stands in for the derivative of the Heaviside step, each with its primitive.

A spike is s = step(x), with x = h - v_threshold and step(x) = 1 for x >= 0. Its derivative is zero almost
everywhere, so the backward pass uses `derivative(x)` of a smooth step, `primitive(x)`, that rises from 0 to 1.

In *relaxed* mode (`with relaxed():`) neurons emit `primitive(x)` instead of the step. Then the gradient that
backward computes is the true one and finite differences can check it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from snncore.backend import Array, array_module
from snncore.context import changed, context
from snncore.given import is_number

__all__ = ["SURROGATES", "ATan", "Erf", "FastSigmoid", "Rectangle", "Sigmoid", "Surrogate", "Triangle", "relaxed"]


@contextmanager
def relaxed() -> Iterator[None]:
    """Make every neuron in the block emit the primitive of its surrogate (float) instead of spikes (uint8)."""
    with changed("relaxed", True):
        yield


def fire(x: Array, surrogate: "Surrogate") -> Array:
    """Return step(x) as uint8, or `surrogate.primitive(x)` in relaxed mode."""
    if context.relaxed:
        return surrogate.primitive(x)
    return (x >= 0).view("uint8")  # a bool is a byte 0 or 1: no copy


def spike_dtype(x: Array) -> np.dtype:
    """Return the type of what neurons emit for currents `x`: uint8, or the type of x in relaxed mode."""
    return x.dtype if context.relaxed else np.dtype(np.uint8)


@dataclass(frozen=True)
class Surrogate(ABC):
    """A smooth step and its derivative; x is float of any shape, in units of the membrane potential."""

    @abstractmethod
    def primitive(self, x: Array) -> Array:
        """Smooth step, 0 at -infinity and 1 at +infinity."""

    @abstractmethod
    def derivative(self, x: Array) -> Array:
        """Derivative of the smooth step; its integral is 1."""


def check_surrogate(surrogate: object) -> None:
    """Raise TypeError unless it has both methods of a `Surrogate`: a class or a name, as "atan", has not."""
    if isinstance(surrogate, type) or not all(hasattr(surrogate, name) for name in ("primitive", "derivative")):
        found = f"the class {surrogate.__name__}" if isinstance(surrogate, type) else repr(surrogate)
        raise TypeError(f"surrogate: expected an instance of a Surrogate, such as Sigmoid(slope=4.0), found {found}")


def _positive(owner: object, **values: float) -> None:
    for name, value in values.items():
        if not is_number(value) or not 0 < value < math.inf:
            raise ValueError(f"{type(owner).__name__}: {name} must be positive, found {value!r}")


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """Logistic step: primitive 1 / (1 + exp(-slope x)), derivative slope * p * (1 - p)."""

    slope: float = 4.0

    def __post_init__(self) -> None:
        _positive(self, slope=self.slope)

    def primitive(self, x: Array) -> Array:
        xp = array_module(x)
        e = xp.exp(-xp.abs(self.slope * x))  # never overflows
        return xp.where(x >= 0, 1, e) / (1 + e)

    def derivative(self, x: Array) -> Array:
        xp = array_module(x)
        e = xp.abs(x)
        e = e if e.dtype.kind == "f" else e.astype(np.float64)  # integers, as of a plot
        e *= -self.slope
        e = xp.exp(e)
        return self.slope * e / xp.square(1 + e)


@dataclass(frozen=True)
class ATan(Surrogate):
    """Arc tangent: primitive atan(pi/2 slope x) / pi + 1/2, derivative slope/2 / (1 + (pi/2 slope x)^2)."""

    slope: float = 2.0

    def __post_init__(self) -> None:
        _positive(self, slope=self.slope)

    def primitive(self, x: Array) -> Array:
        return array_module(x).arctan(math.pi / 2 * self.slope * x) / math.pi + 0.5

    def derivative(self, x: Array) -> Array:
        return self.slope / 2 / (1 + (math.pi / 2 * self.slope * x) ** 2)


@dataclass(frozen=True)
class Rectangle(Surrogate):
    """Straight ramp: primitive clip(x / width + 1/2, 0, 1), derivative 1 / width where |x| <= width / 2."""

    width: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, width=self.width)

    def primitive(self, x: Array) -> Array:
        return array_module(x).clip(x / self.width + 0.5, 0, 1)

    def derivative(self, x: Array) -> Array:
        return (abs(x) <= self.width / 2).astype(x.dtype) / self.width


@dataclass(frozen=True)
class Triangle(Surrogate):
    """Triangular derivative max(0, 1 - |x| / width) / width.

    Primitive 1/2 + y (1 - |y| / 2) with y = clip(x / width, -1, 1).
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, width=self.width)

    def primitive(self, x: Array) -> Array:
        y = array_module(x).clip(x / self.width, -1, 1)
        return 0.5 + y * (1 - abs(y) / 2)

    def derivative(self, x: Array) -> Array:
        return array_module(x).maximum(0, 1 - abs(x) / self.width) / self.width


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """Rational step: primitive (1 + slope x / (1 + slope |x|)) / 2, derivative slope/2 / (1 + slope |x|)^2.

    Zenke and Ganguli's SuperSpike (2018) uses the same shape scaled to a peak of 1.
    """

    slope: float = 4.0

    def __post_init__(self) -> None:
        _positive(self, slope=self.slope)

    def primitive(self, x: Array) -> Array:
        return 0.5 + 0.5 * self.slope * x / (1 + self.slope * abs(x))

    def derivative(self, x: Array) -> Array:
        return self.slope / 2 / (1 + self.slope * abs(x)) ** 2


@dataclass(frozen=True)
class Erf(Surrogate):
    """Gaussian step: primitive (1 + erf(slope x)) / 2, derivative slope / sqrt(pi) * exp(-(slope x)^2)."""

    slope: float = 2.0

    def __post_init__(self) -> None:
        _positive(self, slope=self.slope)

    def primitive(self, x: Array) -> Array:
        if array_module(x) is np:
            from scipy.special import erf
        else:
            from cupyx.scipy.special import erf
        return 0.5 + 0.5 * erf(self.slope * x)

    def derivative(self, x: Array) -> Array:
        return self.slope / math.sqrt(math.pi) * array_module(x).exp(-((self.slope * x) ** 2))


SURROGATES = {
    "sigmoid": Sigmoid,
    "atan": ATan,
    "rectangle": Rectangle,
    "triangle": Triangle,
    "fast-sigmoid": FastSigmoid,
    "erf": Erf,
}
"""The surrogates by the names that configurations use."""
