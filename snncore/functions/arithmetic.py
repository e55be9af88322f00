"""Elementwise arithmetic with broadcasting."""

import operator
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.sew import residual_cost
from snncore.functions.widening import combine_spikes
from snncore.opcount.cost import OpCount, lead_of
from snncore.opcount.events import entries, events
from snncore.tape import Function


class _Binary(Function):
    """Base of the operations of two arrays: gradients are summed over the axes that were broadcast."""

    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    def check_one_float(self, a: Array, b: Array) -> None:
        """Raise TypeError if both arrays are spikes: they would wrap, or leave the float type of the network."""
        if a.dtype.kind != "f" and b.dtype.kind != "f":
            raise TypeError(f"{self.name}: expected at least one float array, found {a.dtype} and {b.dtype}")

    def shrink(self, ga: Array, gb: Array) -> tuple[Array, Array]:
        """Sum the gradients to the shapes of the inputs."""
        shape_a, shape_b = self.shapes
        return self.kernels.sum_to(ga, shape_a), self.kernels.sum_to(gb, shape_b)


class Add(_Binary):
    """y = a + b; ga = gy, gb = gy. Two uint8 arrays stay uint8 where it holds their sum (`combine_spikes`)."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        if a.dtype.kind != "f" and b.dtype.kind != "f":
            return combine_spikes("Add", operator.add, a, b)
        return a + b

    def backward(self, gy: Array) -> Any:
        return self.shrink(gy, gy)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        a, b = inputs
        return add_cost(a, b, outputs[0])

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_add=shrink_adds(inputs, outputs[0], self.needs))


class Sub(_Binary):
    """y = a - b; ga = gy, gb = -gy. Raises TypeError unless one array is float: spikes would wrap below zero."""

    def forward(self, a: Array, b: Array) -> Array:
        self.check_one_float(a, b)
        self.shapes = a.shape, b.shape
        return a - b

    def backward(self, gy: Array) -> Any:
        return self.shrink(gy, -gy)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        a, b = inputs
        return add_cost(a, b, outputs[0])

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_add=shrink_adds(inputs, outputs[0], self.needs))


class Mul(_Binary):
    """y = a * b; ga = gy * b, gb = gy * a. Two uint8 arrays stay uint8 where it holds their product."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        self.save(a, b)
        if a.dtype.kind != "f" and b.dtype.kind != "f":
            return combine_spikes("Mul", operator.mul, a, b)
        return a * b

    def backward(self, gy: Array) -> Any:
        a, b = self.saved
        return self.shrink(gy * b, gy * a)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        a, b = inputs
        return mul_cost(a, b, outputs[0])

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        adds = shrink_adds(inputs, outputs[0], self.needs)
        return OpCount(back_mul=outputs[0].size * sum(self.needs), back_add=adds)


class Div(_Binary):
    """y = a / b; ga = gy / b, gb = -gy * a / b^2. Raises TypeError unless one array is float."""

    def forward(self, a: Array, b: Array) -> Array:
        self.check_one_float(a, b)
        self.shapes = a.shape, b.shape
        self.save(a, b)
        return a / b

    def backward(self, gy: Array) -> Any:
        a, b = self.saved
        square = b * b if b.dtype.kind == "f" else b.astype(gy.dtype) ** 2  # in its own type the square would wrap
        return self.shrink(gy / b, -gy * a / square)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return elementwise(outputs[0], "elem_div")

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        a, b = self.needs
        adds = shrink_adds(inputs, outputs[0], self.needs)
        return OpCount(back_mul=outputs[0].size * (a + 3 * b), back_add=adds)


class ReLU(Function):
    """y = max(x, 0); gx = gy where y > 0."""

    def forward(self, x: Array) -> Array:
        y = array_module(x).maximum(x, 0)
        self.save(y)
        return y

    def backward(self, gy: Array) -> Array:
        (y,) = self.saved
        return gy * (y > 0)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return elementwise(outputs[0], "elem_compare")

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_mul=outputs[0].size)


class Cast(Function):
    """The same values as another float type, such as spikes as float32; gx = gy."""

    takes_half = True

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.kind != "f":
            raise TypeError(f"Cast: expected a float type, found {self.dtype}")

    def forward(self, x: Array) -> Array:
        return x.astype(self.dtype)

    def backward(self, gy: Array) -> Array:
        return gy

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()  # the same values in another type: nothing is computed

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()


def elementwise(y: Array, column: str) -> OpCount:
    """One operation for each entry of y."""
    lead = lead_of(y.shape)
    count: dict[str, Any] = {column: entries(y.shape, lead)}
    return OpCount(lead, **count)


def add_cost(a: Array, b: Array, y: Array) -> OpCount:
    """Cost of a + b or a - b: one addition an entry.

    Two spike trains: where both have an event (a residual). A spike train with a float array: where it has an event.
    """
    lead = lead_of(y.shape)
    spikes = [x for x in (a, b) if x.dtype.kind != "f" and x.shape == y.shape]
    if len(spikes) == 2:
        return residual_cost("Add", a, b, y, lead)
    if len(spikes) == 1:
        return OpCount(lead, elem_add=events(spikes[0], lead).all)
    return elementwise(y, "elem_add")


def mul_cost(a: Array, b: Array, y: Array) -> OpCount:
    """Cost of a * b: one multiplication an entry. Of spikes with floats: an event of 1 picks, one above multiplies."""
    spikes = [x for x in (a, b) if x.dtype.kind != "f" and x.shape == y.shape]
    if not spikes:
        return elementwise(y, "elem_mul")
    lead = lead_of(y.shape)
    seen = events(spikes[0], lead)
    return OpCount(lead, w_select=seen.ones, w_mul=seen.graded)


def shrink_adds(inputs: tuple, y: Array, needs: tuple[bool, ...]) -> int:
    """Additions that sum a gradient of y down to the inputs that were broadcast to it."""
    return sum(y.size - x.size for x, need in zip(inputs, needs, strict=True) if need)
