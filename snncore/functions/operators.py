"""Operators and methods of Tensor: importing this module gives them to the class."""

from typing import Any

import numpy as np

from snncore.backend import array_module
from snncore.functions.arithmetic import Add, Div, Mul, Sub
from snncore.functions.matmul import MatMul
from snncore.functions.reduction import Mean, Sum
from snncore.functions.shape import GetItem, Reshape, Transpose
from snncore.tape import Function, Tensor


def _like(x: Any, other: Tensor) -> Any:
    """Make a number an array of the type of `other` (float32 beside spikes), so that it changes no type."""
    if isinstance(x, int | float | np.number):
        dtype = other.dtype if other.dtype.kind == "f" else np.float32
        return array_module(other.data).full((), x, dtype)  # on a GPU asarray would copy from the host
    return x


def _binary(function: type[Function], turned: bool = False) -> Any:
    def operator(self: Tensor, other: Any) -> Tensor:
        a, b = self, _like(other, self)
        return function()(b, a) if turned else function()(a, b)

    return operator


Tensor.__add__ = _binary(Add)
Tensor.__radd__ = _binary(Add, turned=True)
Tensor.__sub__ = _binary(Sub)
Tensor.__rsub__ = _binary(Sub, turned=True)
Tensor.__mul__ = _binary(Mul)
Tensor.__rmul__ = _binary(Mul, turned=True)
Tensor.__truediv__ = _binary(Div)
Tensor.__rtruediv__ = _binary(Div, turned=True)
Tensor.__matmul__ = _binary(MatMul)
Tensor.__neg__ = lambda self: self * -1.0
Tensor.__getitem__ = lambda self, index: GetItem(index)(self)
Tensor.reshape = lambda self, *shape: Reshape(*(shape[0] if isinstance(shape[0], tuple) else shape))(self)
Tensor.transpose = lambda self, *axes: Transpose(*axes)(self)
Tensor.sum = lambda self, axis=None, keepdims=False: Sum(axis, keepdims)(self)
Tensor.mean = lambda self, axis=None, keepdims=False: Mean(axis, keepdims)(self)
