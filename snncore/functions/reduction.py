"""Sums and means over axes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.summing import sum_steps
from snncore.given import is_integer
from snncore.kernels.choice import arithmetic_choice
from snncore.opcount.cost import Facts, OpCount, Value, lead_of
from snncore.opcount.events import entries, events
from snncore.tape import Function


class Sum(Function):
    """y = sum of x over `axis` (all axes if None); gx = gy, spread back. Spikes are summed as `dtype`."""

    def __init__(
        self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, dtype: Any = np.float32
    ) -> None:
        self.axis, self.keepdims, self.dtype = axis, keepdims, np.dtype(dtype)

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        axes = range(x.ndim) if self.axis is None else self.axis
        axes = axes if isinstance(axes, Sequence | np.ndarray) and not isinstance(axes, str) else (axes,)
        self.axes = tuple(int(a) % x.ndim for a in axes if is_integer(a) and -x.ndim <= a < x.ndim)
        if len(set(self.axes)) != len(axes):
            raise ValueError(f"{self.name}: expected axes of an array of shape {x.shape}, each once, found {self.axis}")
        return self.reduce(x, x.dtype if x.dtype.kind == "f" else self.dtype)

    def reduce(self, x: Array, dtype: np.dtype) -> Array:
        """Return the sum over `self.axes`; on a GPU in exact arithmetic, timesteps of floats in their order."""
        on_gpu = array_module(x) is not np
        if on_gpu and x.dtype.kind == "f" and self.axes == (0,) and len(x) and arithmetic_choice() == "exact":
            return sum_steps(x, self.keepdims, dtype)
        return x.sum(axis=self.axes, keepdims=self.keepdims, dtype=dtype)

    def backward(self, gy: Array) -> Array:
        xp = array_module(gy)
        return xp.broadcast_to(gy if self.keepdims else xp.expand_dims(gy, self.axes), self.shape)

    def axis_after(self, axis: int, ndim: int, new_ndim: int) -> int | None:
        if axis in self.axes and not self.keepdims:
            return None
        return axis if self.keepdims else axis - sum(a < axis for a in self.axes)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count, of floats, n - 1 additions for each sum of n; of spikes, one for each event; of means, a scaling each.

        Resolved by timestep and sample unless samples are summed.
        """
        x, y = inputs[0], outputs[0]
        lead = lead_of(x.shape)
        facts = Facts("reduction", self.name, x.size, y.size, math.prod(lead))
        cells = lead if x.size and lead and len(lead) - 1 not in self.axes else ()
        return OpCount(cells, facts=(facts,), elem_add=self._additions(x, y, cells), elem_mul=self._scalings(y, cells))

    def _additions(self, x: Array, y: Array, cells: tuple[int, ...]) -> Value:
        if x.dtype.kind != "f":
            found = events(x, cells)
            return found.ones + found.graded
        if not cells:
            return max(0, x.size - y.size)  # a sum of nothing adds nothing
        per = entries(x.shape, cells)
        if len(cells) == 1 or 0 not in self.axes:
            return per - y.size // math.prod(cells)
        adds: np.ndarray[Any, Any] = np.full((cells[0], 1), per, np.int64)
        adds[0] -= y.size // cells[1]  # the first timestep begins the sums of each sample, the others add to them
        return adds

    def _scalings(self, y: Array, cells: tuple[int, ...]) -> Value:
        return 0

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()


class Mean(Sum):
    """y = mean of x over `axis` (all axes if None); gx = gy / n, spread back. Spikes are averaged as `dtype`."""

    def reduce(self, x: Array, dtype: np.dtype) -> Array:
        self.count = math.prod(x.shape[a] for a in self.axes)
        return super().reduce(x, dtype) / self.count

    def backward(self, gy: Array) -> Array:
        return super().backward(gy / self.count)

    def _scalings(self, y: Array, cells: tuple[int, ...]) -> Value:
        if not cells:
            return y.size
        if len(cells) == 1 or 0 not in self.axes:
            return y.size // math.prod(cells)
        muls: np.ndarray[Any, Any] = np.zeros((cells[0], 1), np.int64)
        muls[-1] = y.size // cells[1]  # each sample is scaled when its last timestep is in
        return muls

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_mul=outputs[0].size)
