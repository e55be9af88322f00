"""Softmax, dropout, sums and means of others, stated as those of the engine."""

import math
from typing import Any

import numpy as np

from snncore import functions as F
from snncore.foreign.axes import Axes
from snncore.foreign.recorder import Recorder

__all__ = ["RULES", "dropout"]


def softmax(rec: Recorder, y: Any, x: Any, axis: int, *rest: Any) -> None:
    """aten._softmax."""
    axes = rec.trail.axes(x)
    ours, theirs = rec.trail.laid(x), rec.trail.laid(y, True, axes)
    place = ours.places[axis % x.ndim]
    outside = rec.count(F.Softmax(place[-1]), (ours.array,), (theirs.array,), ours.leading, [x])
    rec.made(y, False, outside, axes)


def reduction(function: type[F.Sum]) -> Any:
    """Rule for aten.sum and aten.mean, over some axes or all."""

    def rule(rec: Recorder, y: Any, x: Any, axes: Any = None, keep: bool = False, **dtype: Any) -> None:
        dims = [a % x.ndim for a in ([axes] if isinstance(axes, int) else axes or range(x.ndim))] if x.ndim else []
        before = rec.trail.axes(x)
        ours = rec.trail.laid(x)
        made: Any = function()
        made.axes = tuple(sorted(place for a in dims for place in ours.places[a]))
        made.count = math.prod(x.shape[a] for a in dims)
        out = np.empty([n for i, n in enumerate(ours.array.shape) if i not in made.axes], np.float32)
        outside = rec.count(made, (ours.array,), (out,), ours.leading, [x])
        after: Axes = tuple((("", 1),) if i in dims else axis for i, axis in enumerate(before) if keep or i not in dims)
        rec.made(y, False, outside, after)

    return rule


def largest(rec: Recorder, y: Any, x: Any, axis: Any = None, keep: bool = False) -> None:
    """aten.max, amax, min, amin and argmax: n - 1 comparisons of n."""
    y = y[0] if isinstance(y, tuple | list) else y
    ours = rec.trail.laid(x)
    axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    if isinstance(axis, list | tuple) and len(axis):
        return rec.name("amax over several axes", [x])
    place = None if axis is None or axis == [] else ours.places[axis % x.ndim][-1]
    out = ours.array.max() if place is None else ours.array.max(axis=place)
    outside = rec.count(F.Max(place), (ours.array,), (np.asarray(out),), ours.leading, [x])
    rec.made(y, rec.trail.of(x).events, outside, None)


def dropout(rec: Recorder, y: Any, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> None:
    """F.dropout and its kin for whole channels; nothing runs in evaluation."""
    if not training or p == 0:
        return
    ours, theirs = rec.trail.laid(x), rec.trail.laid(y, True, rec.trail.axes(x))
    outside = rec.count(F.Dropout(p), (ours.array,), (theirs.array,), ours.leading, [x])
    rec.made(y, False, outside, rec.trail.axes(x))


RULES = {
    "_softmax": softmax,
    "sum": reduction(F.Sum),
    "mean": reduction(F.Mean),
    "max": largest,
    "min": largest,
    "amax": largest,
    "amin": largest,
    "argmax": largest,
}
