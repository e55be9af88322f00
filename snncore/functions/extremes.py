"""Magnitudes and largest entries."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.arithmetic import elementwise
from snncore.functions.checks import one_axis
from snncore.opcount.cost import OpCount, lead_of
from snncore.opcount.events import entries
from snncore.tape import Function


class Abs(Function):
    """y = |x|; gx = gy sign(x), 0 at 0. Spikes become float32."""

    def forward(self, x: Array) -> Array:
        x = x if x.dtype.kind == "f" else x.astype(np.float32)
        self.save(x)
        return abs(x)

    def backward(self, gy: Array) -> Array:
        (x,) = self.saved
        return gy * array_module(x).sign(x)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return elementwise(outputs[0], "elem_compare")

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_mul=outputs[0].size)


class Max(Function):
    """y = largest entry along `axis`, or of all if it is None; the first of the largest gets gy, the others 0.

    x: any type, which y has too. Raises ValueError for an axis that is not there or has no entries.
    """

    def __init__(self, axis: int | None = None, keepdims: bool = False) -> None:
        self.axis, self.keepdims = None if axis is None else one_axis("Max", axis), keepdims

    def forward(self, x: Array) -> Array:
        if self.axis is not None and not -x.ndim <= self.axis < x.ndim:
            raise ValueError(f"Max: expected an axis of an array of shape {x.shape}, found {self.axis}")
        rows = x.reshape(-1) if self.axis is None else array_module(x).moveaxis(x, self.axis, -1)  # [..., n]
        if rows.shape[-1] == 0:
            raise ValueError(f"Max: expected at least one entry along axis {self.axis}, found x {x.shape}")
        self.shape, self.turned = x.shape, rows.shape
        first = rows.argmax(axis=-1)[..., None]
        self.save(first)
        return x.max(axis=self.axis, keepdims=self.keepdims)

    def backward(self, gy: Array) -> Array:
        (first,) = self.saved
        xp = array_module(gy)
        rows = xp.zeros(self.turned, gy.dtype)
        xp.put_along_axis(rows, first, gy.reshape(first.shape), axis=-1)
        return rows.reshape(self.shape) if self.axis is None else xp.moveaxis(rows, -1, self.axis)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """n - 1 comparisons of a row of n."""
        (x,), y = inputs, outputs[0]
        lead = lead_of(x.shape) if self.axis is not None and self.axis % x.ndim >= 2 else ()
        return OpCount(lead, elem_compare=entries(x.shape, lead) - entries(y.shape, lead))

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()  # gradients move, nothing is computed
