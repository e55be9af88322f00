"""Nodes of NIR that are layers of the engine in other words: a sequence, a scaling, a delay."""

from typing import Any

import numpy as np

from snncore import nn
from snncore.backend import Array, array_module
from snncore.nn import Parameter
from snncore.opcount.cost import OpCount
from snncore.tape import Function, Tensor

__all__ = ["Delay", "Delayed", "Scale", "Sequence", "of_each", "steps_of"]


class Sequence(nn.Module):
    """A convolution of images of height 1 on sequences [T, N, L, C]."""

    def __init__(self, convolution: nn.Module) -> None:
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        t, n, length, channels = x.shape
        y = self.convolution(x.reshape(t, n, 1, length, channels))
        return y.reshape(t, n, *y.shape[3:])


class Scale(nn.Module):
    """y = s x, entry by entry: an event picks its factor, an analog value is multiplied by it."""

    def __init__(self, scale: np.ndarray) -> None:
        self.scale = Parameter(scale.astype(np.float32))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Delay(nn.Module):
    """y[t] = x[t - d], with a number of steps for each entry; zeros before the start."""

    def __init__(self, steps: np.ndarray) -> None:
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        return Delayed(self.steps)(x)


class Delayed(Function):
    """y[t] = x[t - d], zero for t < d; gx[t] = gy[t + d].

    x: [T, N, ...], any type, which y has too. steps: d, int64, of each entry of a sample.
    """

    def __init__(self, steps: np.ndarray) -> None:
        self.steps = steps

    def forward(self, x: Array) -> Array:
        return self._moved(x, 1)

    def backward(self, gy: Array) -> Array:
        return self._moved(gy, -1)

    def _moved(self, x: Array, way: int) -> Array:
        xp = array_module(x)
        y = xp.zeros_like(x)
        for d in np.unique(self.steps).tolist():
            entries = xp.asarray(np.broadcast_to(self.steps == d, x.shape[2:]))
            kept = max(0, len(x) - d)
            into, out = (slice(d, None), slice(0, kept)) if way > 0 else (slice(0, kept), slice(d, None))
            y[into] = xp.where(entries, x[out], y[into])
        return y

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()  # entries wait, nothing is computed

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount()


def of_each(value: Any, shape: tuple[int, ...], flat: tuple[int, ...] | None) -> np.ndarray:
    """A setting of each entry of a sample, channels first, with channels last. flat: pixels that were flattened."""
    whole = np.broadcast_to(np.asarray(value, np.float64), shape)
    if not np.isfinite(whole).all():
        raise ValueError("its setting is not finite")
    if flat is not None:
        return np.moveaxis(whole.reshape(flat), 0, -1).ravel()
    return np.moveaxis(whole, 0, -1) if whole.ndim > 1 else whole


def steps_of(delay: np.ndarray, dt: float) -> np.ndarray:
    """Delays in seconds as steps of dt: int64. ValueError for one below 0, or that is no whole number of steps."""
    steps = np.rint(delay / dt)
    wrong = delay[(steps < 0) | ~np.isclose(steps * dt, delay, rtol=1e-5, atol=1e-6 * dt)]
    if wrong.size:
        raise ValueError(f"a delay of {wrong.flat[0]:g} s is no whole number of steps of {dt:g} s")
    return steps.astype(np.int64)
