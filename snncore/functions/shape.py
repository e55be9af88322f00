"""Operations that move entries and compute nothing."""

from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.checks import one_axis
from snncore.opcount.cost import OpCount
from snncore.tape import Function


class Reshape(Function):
    """The same entries in another shape."""

    def __init__(self, *shape: int) -> None:
        self.new_shape = shape

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return x.reshape(self.new_shape)

    def backward(self, gy: Array) -> Array:
        return gy.reshape(self.shape)

    def axis_after(self, axis: int, ndim: int, new_ndim: int) -> int | None:
        return axis  # of the first axes, as long as their sizes are the same

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()  # entries move, nothing is computed

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()


class Transpose(Function):
    """Permute the axes; without arguments, turn their order round."""

    def __init__(self, *axes: int) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return x.transpose(self.axes or None)

    def backward(self, gy: Array) -> Array:
        return gy.transpose(np.argsort([a % gy.ndim for a in self.axes]).tolist() if self.axes else None)

    def axis_after(self, axis: int, ndim: int, new_ndim: int) -> int | None:
        return [a % ndim for a in self.axes].index(axis) if self.axes else ndim - 1 - axis

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()  # entries move, nothing is computed

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()


class GetItem(Function):
    """y = x[index], for an index of integers, slices, ... and None; gx is gy in its place and zero elsewhere."""

    def __init__(self, index: Any) -> None:
        self.index = index if isinstance(index, tuple) else (index,)
        for part in self.index:
            good = part is None or part is Ellipsis or isinstance(part, int | np.integer | slice)
            if not good or isinstance(part, bool):  # NumPy takes True for a mask, Python for the index 1
                raise TypeError(f"index: expected integers, slices, ... or None, found {type(part).__name__}")

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return x[self.index]

    def backward(self, gy: Array) -> Array:
        gx = array_module(gy).zeros(self.shape, gy.dtype)
        gx[self.index] = gy
        return gx

    def axis_after(self, axis: int, ndim: int, new_ndim: int) -> int | None:
        whole = ndim - sum(part is not None and part is not Ellipsis for part in self.index)  # axes that ... stands for
        old = new = 0  # axes of x and of y that were passed
        for part in self.index:
            taken = 0 if part is None else whole if part is Ellipsis else 1
            kept = 1 if part is None else whole if part is Ellipsis else int(isinstance(part, slice))
            if old <= axis < old + taken:
                return new + axis - old if kept else None
            old, new = old + taken, new + kept
        return new + axis - old

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()  # entries move, nothing is computed

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()


class Concat(Function):
    """Join arrays along an existing axis; each gets its part of gy."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = one_axis("Concat", axis)

    def forward(self, *xs: Array) -> Array:
        if any(not -x.ndim <= self.axis < x.ndim for x in xs):
            found = ", ".join(str(x.shape) for x in xs)
            raise ValueError(f"Concat: expected an axis that all arrays have, found {self.axis} and arrays {found}")
        self.ends = np.cumsum([x.shape[self.axis] for x in xs])[:-1].tolist()
        return array_module(*xs).concatenate(xs, axis=self.axis)

    def backward(self, gy: Array) -> Any:
        return tuple(array_module(gy).split(gy, self.ends, axis=self.axis))

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()  # entries move, nothing is computed

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()


class Stack(Function):
    """Join arrays along a new axis; each gets its slice of gy."""

    def __init__(self, axis: int = 0) -> None:
        self.axis = one_axis("Stack", axis)

    def forward(self, *xs: Array) -> Array:
        return array_module(*xs).stack(xs, axis=self.axis)

    def backward(self, gy: Array) -> Any:
        return tuple(array_module(gy).moveaxis(gy, self.axis, 0))

    def axis_after(self, axis: int, ndim: int, new_ndim: int) -> int | None:
        return axis + (self.axis % new_ndim <= axis)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()  # entries move, nothing is computed

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()
