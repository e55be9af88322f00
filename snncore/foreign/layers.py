"""Normalisation, pooling, softmax, sums and means of others, stated as those of the engine."""

import math
from typing import Any

import numpy as np

from snncore import functions as F
from snncore.foreign.axes import Axes, kept, laid
from snncore.foreign.recorder import Recorder
from snncore.opcount.cost import OpCount
from snncore.opcount.events import entries

__all__ = ["RULES", "adaptive_average", "dropout", "instance_norm"]


def batch_norm(rec: Recorder, y: Any, x: Any, w: Any, b: Any, mean: Any, var: Any, training: bool, *rest: Any) -> None:
    """aten.native_batch_norm: x [M, C, ...]."""
    axes = rec.batch_axes(x)
    ours = laid(rec.trail.array(x, analog=True), axes)
    array = np.moveaxis(ours.array, 1 - x.ndim, -1) if x.ndim > 2 else ours.array
    outside = rec.count(F.BatchNorm(None, None, bool(training)), (array, None, None), (array,), ours.leading, [x])
    rec.made(y, False, outside, axes)


def running_norm(training: bool) -> Any:
    """Rule for the forms of it that do not say whether they train."""

    def rule(rec: Recorder, y: Any, x: Any, w: Any, b: Any, mean: Any, var: Any, *rest: Any) -> None:
        batch_norm(rec, y, x, w, b, mean, var, training)

    return rule


def layer_norm(rec: Recorder, y: Any, x: Any, shape: Any, *rest: Any) -> None:
    """aten.native_layer_norm over the last axis."""
    if len(shape) != 1:
        return rec.name(f"layer_norm over the last {len(shape)} axes", [x])
    ours = rec.trail.laid(x, analog=True)
    outside = rec.count(F.LayerNorm(), (ours.array, None, None), (ours.array,), ours.leading, [x])
    rec.made(y, False, outside, rec.trail.axes(x))


class GroupNorm(F.LayerNorm):
    """Layer normalisation of rows of a group of channels with all its pixels. affine: scaled and shifted by channel.

    Source: Wu and He, Group Normalization, ECCV 2018.
    """

    def __init__(self, affine: bool) -> None:
        super().__init__()
        self.affine = affine

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """That of a row of LayerNorm, without the products by gamma and additions of beta if there are none."""
        cost = super().cost(inputs, outputs)
        if not self.affine:
            columns = cost.blocks[0][1]
            per = entries(inputs[0].shape, cost.blocks[0][0])
            columns |= {"elem_mul": columns["elem_mul"] - per, "elem_add": columns["elem_add"] - per}
        return cost


def group_norm(
    rec: Recorder, y: Any, x: Any, w: Any, b: Any, m: int, c: int, pixels: int, groups: int, *_: Any
) -> None:
    """aten.native_group_norm: x [M, C, ...], each row of C / groups channels and all pixels by itself."""
    axes = rec.batch_axes(x)
    ours = laid(rec.trail.array(x, analog=True), axes)
    rows = ours.array.reshape(*ours.array.shape[: 1 - x.ndim], groups, -1)  # [.., groups, C / groups * pixels]
    outside = rec.count(GroupNorm(w is not None), (rows, None, None), (rows,), ours.leading, [x])
    rec.made(y, False, outside, axes)


def softmax(rec: Recorder, y: Any, x: Any, axis: int, *rest: Any) -> None:
    """aten._softmax."""
    axes = rec.trail.axes(x)
    ours, theirs = rec.trail.laid(x), rec.trail.laid(y, True, axes)
    place = ours.places[axis % x.ndim]
    outside = rec.count(F.Softmax(place[-1]), (ours.array,), (theirs.array,), ours.leading, [x])
    rec.made(y, False, outside, axes)


def max_pool(
    rec: Recorder,
    y: Any,
    x: Any,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil: bool = False,
) -> None:
    """aten.max_pool2d_with_indices: x [M, C, H, W]."""
    kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
    if _pair(dilation) != (1, 1) or (ceil and not _covers(x, y, kernel, stride, padding)):
        return rec.name("max_pool2d with ceil_mode or dilation", [x])
    events = rec.trail.of(x).events
    axes, ours, theirs = _images(rec, x, y, analog=not events)
    outside = rec.count(F.MaxPool2d(kernel, stride, padding), (ours.array,), (theirs.array,), ours.leading, [x])
    rec.made(y, events, outside, axes)


def average_pool(
    rec: Recorder,
    y: Any,
    x: Any,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil: bool = False,
    with_padding: bool = True,
    divisor: Any = None,
) -> None:
    """aten.avg_pool2d: x [M, C, H, W]."""
    kernel, stride, padding = _pair(kernel), _pair(stride or kernel), _pair(padding)
    if padding != (0, 0) or (ceil and not _covers(x, y, kernel, stride, padding)):
        return rec.name("avg_pool2d with padding or ceil_mode", [x])
    _average(rec, y, x, F.AvgPool2d(kernel, stride))


def adaptive_average(rec: Recorder, y: Any, x: Any, size: Any) -> None:
    """F.adaptive_avg_pool1d and 2d: the mean of all, or windows of one size."""
    if x.ndim == y.ndim == 3 and isinstance(size, int):  # [M, C, L]
        x, y, size = _raised(rec, x), y.unsqueeze(-2), (1, size)
    size = tuple(n if s is None else s for s, n in zip(_pair(size), x.shape[-2:], strict=True))
    if size == (1, 1):
        return _average(rec, y, x, F.GlobalAvgPool())
    if x.ndim != 4 or any(n % s for s, n in zip(size, x.shape[-2:], strict=True)):
        return rec.name(f"adaptive_avg_pool2d to {size}, windows of several sizes", [x])
    kernel = tuple(n // s for s, n in zip(size, x.shape[-2:], strict=True))
    _average(rec, y, x, F.AvgPool2d(kernel))


def _raised(rec: Recorder, x: Any) -> Any:
    """[M, C, L] as [M, C, 1, L]."""
    axes = rec.trail.axes(x)
    made = x.unsqueeze(-2)
    rec.trail.follow(made, (axes[0], axes[1], (("", 1),), axes[2]))
    return made


def _average(rec: Recorder, y: Any, x: Any, function: Any) -> None:
    axes, ours, theirs = _images(rec, x, y, analog=True)
    ours = ours._replace(array=_last(laid(rec.trail.array(x), rec.batch_axes(x)).array))
    out = theirs.array[..., 0, 0, :] if isinstance(function, F.GlobalAvgPool) else theirs.array
    outside = rec.count(function, (ours.array,), (out,), ours.leading, [x])
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


def instance_norm(rec: Recorder, y: Any, x: Any, *rest: Any, **settings: Any) -> None:
    """F.instance_norm, which has no cost here: torch runs it as a batch normalisation of N * C channels."""
    rec.name("instance_norm", [x])
    rec.made(y, False, False, rec.trail.axes(x))


def _images(rec: Recorder, x: Any, y: Any, analog: bool) -> Any:
    """Axes of y, and x and y [M, C, H, W] with cells first and channels last."""
    before = rec.trail.axes(x) if x.ndim < 4 else rec.batch_axes(x)
    after = kept(before, y.shape)
    ours, theirs = laid(rec.trail.array(x, analog), before), laid(rec.trail.array(y, analog), after)
    if not analog:
        theirs = theirs._replace(array=theirs.array.astype(ours.array.dtype, copy=False))
    return after, ours._replace(array=_last(ours.array)), theirs._replace(array=_last(theirs.array))


def _last(x: np.ndarray) -> np.ndarray:
    """[..., C, H, W] as [..., H, W, C]."""
    return np.moveaxis(x, -3, -1)


def _pair(v: Any) -> tuple[int, int]:
    both = (v, v) if isinstance(v, int) else tuple(v)
    return both * 2 if len(both) == 1 else both


def _covers(x: Any, y: Any, kernel: Any, stride: Any, padding: Any) -> bool:
    """Whether rounding up made no window that rounding down does not make."""
    sides = zip(x.shape[-2:], y.shape[-2:], kernel, stride, padding, strict=True)
    return all((n + 2 * p - k) // s + 1 == m for n, m, k, s, p in sides)


RULES = {
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"), batch_norm),
    **dict.fromkeys(("_native_batch_norm_legit_no_training", "_batch_norm_no_update"), running_norm(False)),
    "_batch_norm_with_update": running_norm(True),
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
    "_softmax": softmax,
    "max_pool2d_with_indices": max_pool,
    "avg_pool2d": average_pool,
    "sum": reduction(F.Sum),
    "mean": reduction(F.Mean),
    "max": largest,
    "min": largest,
    "amax": largest,
    "amin": largest,
    "argmax": largest,
}
