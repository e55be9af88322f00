"""Elementwise arithmetic with broadcasting."""

from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.tape import Function


class _Binary(Function):
    """Base of the operations of two arrays: gradients are summed over the axes that were broadcast."""

    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    def shrink(self, ga: Array, gb: Array) -> tuple[Array, Array]:
        """Sum the gradients to the shapes of the inputs."""
        shape_a, shape_b = self.shapes
        return self.kernels.sum_to(ga, shape_a), self.kernels.sum_to(gb, shape_b)


class Add(_Binary):
    """y = a + b; ga = gy, gb = gy. Two uint8 arrays stay uint8."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        return a + b

    def backward(self, gy: Array) -> Any:
        return self.shrink(gy, gy)


class Sub(_Binary):
    """y = a - b; ga = gy, gb = -gy. Float arrays only: spikes would wrap below zero."""

    def forward(self, a: Array, b: Array) -> Array:
        if a.dtype.kind != "f" and b.dtype.kind != "f":
            raise TypeError(f"Sub: expected at least one float array, found {a.dtype} and {b.dtype}")
        self.shapes = a.shape, b.shape
        return a - b

    def backward(self, gy: Array) -> Any:
        return self.shrink(gy, -gy)


class Mul(_Binary):
    """y = a * b; ga = gy * b, gb = gy * a."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        self.save(a, b)
        return a * b

    def backward(self, gy: Array) -> Any:
        a, b = self.saved
        return self.shrink(gy * b, gy * a)


class Div(_Binary):
    """y = a / b; ga = gy / b, gb = -gy * a / b^2."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        self.save(a, b)
        return a / b

    def backward(self, gy: Array) -> Any:
        a, b = self.saved
        return self.shrink(gy / b, -gy * a / (b * b))


class ReLU(Function):
    """y = max(x, 0); gx = gy where y > 0."""

    def forward(self, x: Array) -> Array:
        y = x * (x > 0)
        self.save(y)
        return y

    def backward(self, gy: Array) -> Array:
        (y,) = self.saved
        return gy * (y > 0)


class Cast(Function):
    """The same values as another float type, such as spikes as float32; gx = gy."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.kind != "f":
            raise TypeError(f"Cast: expected a float type, found {self.dtype}")

    def forward(self, x: Array) -> Array:
        return x.astype(self.dtype)

    def backward(self, gy: Array) -> Array:
        return gy
