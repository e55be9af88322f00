"""Which axes of an array are time and samples: told, read off the shape, or followed through the operations."""

from typing import NamedTuple

from snncore.backend import Array
from snncore.context import context
from snncore.tape import Function

__all__ = ["Layout", "after", "by_shape", "lead_of"]


class Layout(NamedTuple):
    """The axis of time and the axis of samples of an array; None where it has no such axis."""

    time: int | None
    samples: int | None

    @property
    def leading(self) -> int:
        """How many of the first axes are cells: 2 for [T, N, ...], 1 for [N, ...], else 0."""
        if self == (0, 1):
            return 2
        return 1 if self == (None, 0) else 0


def lead_of(shape: tuple[int, ...], features: int = 1) -> tuple[int, ...]:
    """The cells by which a call on an array of `shape` is resolved: (T, N), (N,), or () for a call that is one piece.

    features: how many of the last axes are those of one sample at one timestep, and never time or samples.
    Where `count_ops(samples=)` was told N: (T, N) if the second axis is N and the first is time; (N,) if only the
    first axis is N, as in a network without time, after a mean over time, or inside `at_timestep`.
    Where it was told nothing, the layout of the engine is assumed, [T, N, ...], or [N, ...] inside `at_timestep`.
    """
    free = len(shape) - features
    if context.samples is None:
        axes = 2 if context.timestep is None else 1
    elif context.leading is None:
        axes = by_shape(shape, features).leading
    else:
        axes = context.leading
        if axes and (free < axes or shape[axes - 1] != context.samples):
            axes = 0
    return tuple(shape[:axes]) if free >= axes else ()


def by_shape(shape: tuple[int, ...], features: int = 1) -> Layout:
    """Read the layout off a shape: the axis as long as there are samples. Where the first two both fit, it is [T, N].

    A first axis of 1 is taken for time too: it is one timestep of a loop, or will be repeated over time.
    """
    n, t, free = context.samples, context.timesteps, len(shape) - features
    steps = (1,) if context.timestep is not None else (1, t)
    if free >= 2 and shape[1] == n and t != 0 and ((t is None and context.timestep is None) or shape[0] in steps):
        return Layout(0, 1)
    return Layout(None, 0) if free >= 1 and shape[0] == n else Layout(None, None)


def after(function: Function, x: Array, y: Array, layout: Layout) -> Layout | None:
    """Follow the layout of the input x to the output y of a call; None if that cannot be said."""
    return None if layout.samples is None else _follow(function, x, y, layout)


def _follow(function: Function, x: Array, y: Array, layout: Layout) -> Layout | None:
    stays = type(function).axis_after is Function.axis_after and x.ndim == y.ndim
    if stays and layout.leading and x.shape[:2] == y.shape[:2]:
        return layout  # that of most calls, for short
    time, samples = (None if axis is None else function.axis_after(axis, x.ndim, y.ndim) for axis in layout)
    for old, new in ((layout.time, time), (layout.samples, samples)):
        if new is not None and (new >= y.ndim or y.shape[new] != x.shape[old]):
            return None
    if samples is None:
        return None
    if layout.time is None and layout.samples == 0 and samples == 1:  # a new first axis: the steps of a loop, stacked
        return Layout(0, 1) if context.timesteps in (None, y.shape[0]) else None
    return Layout(time, samples)
