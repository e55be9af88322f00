"""Sums and means over axes."""

import math

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.arithmetic_cost import reduction_cost
from snncore.opcount.cost import OpCount
from snncore.tape import Function


class Sum(Function):
    """y = sum of x over `axis` (all axes if None); gx = gy, spread back. Spikes are summed as float32."""

    def __init__(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> None:
        self.axis, self.keepdims = axis, keepdims

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        axes = range(x.ndim) if self.axis is None else np.atleast_1d(self.axis)
        if any(not -x.ndim <= a < x.ndim for a in axes):
            raise ValueError(f"{self.name}: expected axes of an array of shape {x.shape}, found {self.axis}")
        self.axes = tuple(int(a) % x.ndim for a in axes)
        return self.reduce(x, x.dtype if x.dtype.kind == "f" else np.dtype(np.float32))

    def reduce(self, x: Array, dtype: np.dtype) -> Array:
        """Return the sum over `self.axes`."""
        return x.sum(axis=self.axes, keepdims=self.keepdims, dtype=dtype)

    def backward(self, gy: Array) -> Array:
        xp = array_module(gy)
        return xp.broadcast_to(gy if self.keepdims else xp.expand_dims(gy, self.axes), self.shape)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return reduction_cost(inputs[0], outputs[0], self.axes, mean=False)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()


class Mean(Sum):
    """y = mean of x over `axis` (all axes if None); gx = gy / n, spread back. Spikes are averaged as float32."""

    def reduce(self, x: Array, dtype: np.dtype) -> Array:
        self.count = math.prod(x.shape[a] for a in self.axes)
        return super().reduce(x, dtype) / self.count

    def backward(self, gy: Array) -> Array:
        return super().backward(gy / self.count)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return reduction_cost(inputs[0], outputs[0], self.axes, mean=True)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_mul=outputs[0].size)
