"""Exponential, logarithm, tanh, logistic function, roots and powers, entry by entry."""

from abc import abstractmethod

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.arithmetic import elementwise
from snncore.functions.checks import check_float
from snncore.kernels.reference.membrane import sigmoid
from snncore.opcount.cost import OpCount
from snncore.tape import Function


class _Curve(Function):
    """Base of functions of one number. Spikes become float32. What NumPy warns of (log of 0) warns here too."""

    back_muls, back_adds = 1, 0  # of backward, an entry
    takes_spikes = True

    def forward(self, x: Array) -> Array:
        if not self.takes_spikes:
            check_float(self.name, x=x)
        x = x if x.dtype.kind == "f" else x.astype(np.float32)
        y = self.value(x)
        self.keep(x, y)
        return y

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return y of float x."""

    def keep(self, x: Array, y: Array) -> None:
        """Save what the derivative is made of: here y."""
        self.save(y)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return elementwise(outputs[0], "special")

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        size = outputs[0].size
        return OpCount(back_mul=self.back_muls * size, back_add=self.back_adds * size)


class Exp(_Curve):
    """y = e^x; gx = gy y."""

    def value(self, x: Array) -> Array:
        return array_module(x).exp(x)

    def backward(self, gy: Array) -> Array:
        (y,) = self.saved
        return gy * y


class Log(_Curve):
    """y = ln x; gx = gy / x. Raises TypeError for spikes, most of which are 0."""

    takes_spikes = False

    def value(self, x: Array) -> Array:
        return array_module(x).log(x)

    def keep(self, x: Array, y: Array) -> None:
        self.save(x)

    def backward(self, gy: Array) -> Array:
        (x,) = self.saved
        return gy / x


class Tanh(_Curve):
    """y = tanh x; gx = gy (1 - y^2)."""

    back_muls, back_adds = 2, 1

    def value(self, x: Array) -> Array:
        return array_module(x).tanh(x)

    def backward(self, gy: Array) -> Array:
        (y,) = self.saved
        return gy * (1 - y * y)


class Sigmoid(_Curve):
    """y = 1 / (1 + e^-x), without overflow; gx = gy y (1 - y)."""

    back_muls, back_adds = 2, 1

    def value(self, x: Array) -> Array:
        return sigmoid(x)

    def backward(self, gy: Array) -> Array:
        (y,) = self.saved
        return gy * y * (1 - y)


class Sqrt(_Curve):
    """y = square root of x; gx = gy / (2 y). Raises TypeError for spikes: at 0 there is no gradient."""

    back_muls, takes_spikes = 2, False

    def value(self, x: Array) -> Array:
        return array_module(x).sqrt(x)

    def backward(self, gy: Array) -> Array:
        (y,) = self.saved
        return gy / (2 * y)


class Power(_Curve):
    """y = x^exponent; gx = gy exponent x^(exponent - 1).

    exponent: a number, settled when the function is made. Cost: one `special` an entry; of x^2 one multiplication.
    Raises TypeError for another exponent.
    """

    def __init__(self, exponent: float) -> None:
        if isinstance(exponent, bool) or not isinstance(exponent, int | float | np.number):
            raise TypeError(f"Power: expected a number as exponent, found {type(exponent).__name__}")
        self.exponent = float(exponent)

    def value(self, x: Array) -> Array:
        return x * x if self.exponent == 2 else x**self.exponent

    def keep(self, x: Array, y: Array) -> None:
        self.save(x)

    def backward(self, gy: Array) -> Array:
        (x,) = self.saved
        if self.exponent == 0:
            return array_module(x).zeros_like(gy)  # 0 * x^-1 would be NaN at 0
        return gy * (self.exponent * (x if self.exponent == 2 else x ** (self.exponent - 1)))

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return elementwise(outputs[0], "elem_mul" if self.exponent == 2 else "special")

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        size = outputs[0].size
        return OpCount(back_mul=2 * size, back_special=0 if self.exponent == 2 else size)
