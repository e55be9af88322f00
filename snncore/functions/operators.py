"""Operators and methods of Tensor: importing this module gives them to the class."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.arithmetic import Add, Div, Mul, Sub
from snncore.functions.extremes import Abs, Max
from snncore.functions.matmul import MatMul
from snncore.functions.reduction import Mean, Sum
from snncore.functions.shape import GetItem, Reshape, Transpose
from snncore.functions.transcendental import Exp, Log, Power, Sigmoid, Sqrt, Tanh
from snncore.tape import Function, Tensor


def _like(x: Any, other: Tensor) -> Any:
    """Make a number, list or array of numbers the type of `other` (float32 beside spikes): it is a constant.

    Otherwise `x + np.ones(3)` would turn a float32 network into a float64 one, which runs several times slower. What
    is a Tensor keeps its type, and so do bytes, which are spikes.
    """
    if isinstance(x, Tensor):
        return x
    dtype = other.dtype if other.dtype.kind == "f" else np.dtype(np.float32)
    if isinstance(x, bool | int | float | np.number | np.bool_):
        return array_module(other.data).full((), x, dtype)  # on a GPU asarray would copy from the host
    if isinstance(x, list | tuple):
        return array_module(other.data).asarray(x, dtype)
    wide = hasattr(x, "dtype") and x.dtype.kind in "biuf" and x.dtype not in (dtype, np.uint8)
    return x.astype(dtype) if wide else x


def _binary(function: type[Function], turned: bool = False) -> Any:
    def operation(self: Tensor, other: Any) -> Tensor:
        a, b = self, _like(other, self)
        return function()(b, a) if turned else function()(a, b)

    return operation


def _comparison(compare: Callable[[Array, Array], Array]) -> Any:
    def comparison(self: Tensor, other: Any) -> Array:
        return compare(self.data, other.data if isinstance(other, Tensor) else other)

    return comparison


def _spread(numbers: tuple[Any, ...]) -> Any:
    """Return numbers that are given one by one or, as in NumPy, in a tuple or a list."""
    return numbers[0] if len(numbers) == 1 and isinstance(numbers[0], tuple | list) else numbers


def _flatten(x: Tensor, start: int = 0) -> Tensor:
    if start and not -x.ndim <= start <= x.ndim:
        raise ValueError(f"flatten: expected the number of an axis of shape {x.shape} to start from, found {start!r}")
    return Reshape(*x.shape[:start], -1 if x.size else int(np.prod(x.shape[start:])))(x)


Tensor.__add__ = _binary(Add)
Tensor.__radd__ = _binary(Add, turned=True)
Tensor.__sub__ = _binary(Sub)
Tensor.__rsub__ = _binary(Sub, turned=True)
Tensor.__mul__ = _binary(Mul)
Tensor.__rmul__ = _binary(Mul, turned=True)
Tensor.__truediv__ = _binary(Div)
Tensor.__rtruediv__ = _binary(Div, turned=True)
Tensor.__matmul__ = _binary(MatMul)
Tensor.__rmatmul__ = _binary(MatMul, turned=True)
Tensor.__neg__ = lambda self: self * -1.0
Tensor.__getitem__ = lambda self, index: GetItem(index)(self)
Tensor.__iter__ = lambda self: (self[i] for i in range(len(self)))  # without it, one entry would be an empty row
Tensor.reshape = lambda self, *shape: Reshape(*_spread(shape))(self)
Tensor.transpose = lambda self, *axes: Transpose(*_spread(axes))(self)
Tensor.sum = lambda self, axis=None, keepdims=False: Sum(axis, keepdims)(self)
Tensor.mean = lambda self, axis=None, keepdims=False: Mean(axis, keepdims)(self)
Tensor.__pow__ = lambda self, exponent: Power(exponent)(self)
Tensor.__abs__ = Tensor.abs = lambda self: Abs()(self)
Tensor.__lt__ = _comparison(operator.lt)
Tensor.__le__ = _comparison(operator.le)
Tensor.__gt__ = _comparison(operator.gt)
Tensor.__ge__ = _comparison(operator.ge)
Tensor.exp = lambda self: Exp()(self)
Tensor.log = lambda self: Log()(self)
Tensor.tanh = lambda self: Tanh()(self)
Tensor.sigmoid = lambda self: Sigmoid()(self)
Tensor.sqrt = lambda self: Sqrt()(self)
Tensor.max = lambda self, axis=None, keepdims=False: Max(axis, keepdims)(self)
Tensor.argmax = lambda self, axis=None: self.data.argmax(axis=axis)
Tensor.flatten = _flatten
Tensor.T = property(lambda self: Transpose()(self))

for _name, _text in {
    "reshape": "Return the same entries in another shape, given as numbers or a tuple; -1 stands for what is left.",
    "transpose": "Return the tensor with its axes in the order given, or in the opposite order without one.",
    "sum": "Return the sum over an axis or several, or over all entries.",
    "mean": "Return the mean over an axis or several, or over all entries.",
    "abs": "Return |x|, entry by entry.",
    "exp": "Return e to the power of x, entry by entry.",
    "log": "Return the natural logarithm, entry by entry.",
    "tanh": "Return the hyperbolic tangent, entry by entry.",
    "sigmoid": "Return 1 / (1 + exp(-x)), entry by entry.",
    "sqrt": "Return the square root, entry by entry.",
    "max": "Return the largest entry along an axis, or of all; the first of the largest gets the gradient.",
    "argmax": "Return where the largest entries are along an axis, as an array of integers; it has no gradient.",
    "flatten": "Return the tensor with the axes from `start` on as one.",
    "T": "The tensor with its axes in the opposite order.",
}.items():
    getattr(Tensor, _name).__doc__ = _text
