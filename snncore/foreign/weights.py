"""Convolutions, linear layers and products of others, stated as those of the engine."""

import math
from typing import Any

import numpy as np

from snncore import functions as F
from snncore.foreign.axes import kept, laid, plain
from snncore.foreign.recorder import Recorder
from snncore.opcount.cost import OpCount
from snncore.opcount.weights import weights_cost

__all__ = ["RULES", "convolution", "linear"]


def convolution(
    rec: Recorder, y: Any, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, *rest: Any
) -> None:
    """aten.convolution of one or two dimensions, grouped, dilated or transposed: x [M, Ci, (H,) W]."""
    transposed, _, groups = rest
    if x.ndim not in (3, 4) or x.ndim != w.ndim:
        return rec.name("convolution", [x, w])
    ours, theirs = _channels_last(rec, x), _channels_last(rec, y)
    rec.weigh(x, ours.array)
    weight = rec.trail.array(w, analog=True)
    weight = weight.transpose(*range(2, w.ndim), 1, 0) if not transposed else weight.transpose(*range(2, w.ndim), 0, 1)
    bias = None if b is None else rec.trail.array(b, analog=True)
    arrays = (ours.array, weight, bias)
    stride, padding, dilation = (tuple(v) for v in (stride, padding, dilation))
    name, out = "", theirs.array
    if x.ndim == 3 and not transposed and groups == 1:
        function: Any = F.Conv1d(stride[0], padding[0])
        function.dilation = (1, dilation[0])
    else:
        if x.ndim == 3:  # of height 1
            arrays = (ours.array[..., None, :, :], weight[None], bias)
            stride, padding, dilation = (1, *stride), (0, *padding), (1, *dilation)
            out = out[..., None, :, :]
        kind = F.Conv2d if groups == 1 else F.GroupedConv2d
        function = kind(stride, padding, dilation)
    if transposed:
        name = f"ConvTranspose{x.ndim - 2}d"
        function = _Transposed(name, function)
    outside = rec.count(function, arrays, (out,), ours.leading, [x], name)
    rec.made(y, False, outside, kept(rec.batch_axes(x), y.shape))


class _Transposed(F.Conv2d):
    """The cost alone of a transposed convolution: each entry goes to the taps that land inside the output."""

    def __init__(self, kind: str, settings: Any) -> None:
        super().__init__(settings.stride, settings.padding, settings.dilation)
        self.kind = kind

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        x, w, b = inputs  # w [kh, kw, Ci, Co / groups]
        y = outputs[0]
        sides = zip(x.shape[-3:-1], y.shape[-3:-1], w.shape[:2], self.stride, self.padding, self.dilation, strict=True)
        rows, cols = (spread(*side) for side in sides)
        count = weights_cost(self.kind, x, y, w, b, w.shape[3], np.outer(rows, cols), self.stride)
        lead, columns = count.blocks[0]
        pixels = math.prod(x.shape[len(lead) : -1])
        columns["dense_mac_padded"] = pixels * w.size  # all taps of each pixel
        return count


def spread(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """How many of `out` outputs along an axis each of `size` inputs of a transposed convolution reaches: int64."""
    place = np.arange(size)[:, None] * stride + np.arange(kernel) * dilation - padding  # [size, kernel]
    return ((place >= 0) & (place < out)).sum(axis=1, dtype=np.int64)


def linear(rec: Recorder, y: Any, x: Any, w: Any, b: Any = None) -> None:
    """F.linear: x [..., Ci], w [Co, Ci]."""
    _linear(rec, y, x, w.t(), b)


def _linear(rec: Recorder, y: Any, x: Any, w: Any, b: Any) -> None:
    """y = x @ w + b with weights w [Ci, Co], of the network itself or made by it."""
    axes = rec.trail.axes(x)
    rec.check_feature(x, x.ndim - 1, axes[-1])
    axes = (*axes[:-1], *plain(x.shape[-1:]))
    ours = laid(rec.trail.array(x, zeros=True), axes)
    rec.weigh(x, ours.array)
    out = (*axes[:-1], *plain(y.shape[-1:]))
    arrays = (ours.array, rec.trail.array(w, analog=True), None if b is None else rec.trail.array(b, analog=True))
    theirs = laid(rec.trail.array(y, analog=True), out)
    outside = rec.count(F.Linear(), arrays, (theirs.array,), ours.leading, [x])
    rec.made(y, False, outside, out, product=b is None)


def product(rec: Recorder, y: Any, a: Any, b: Any) -> None:
    """aten.mm and aten.bmm: a [(B,) n, k], b [(B,) k, m]; a matrix of the network makes it a linear layer."""
    if b.ndim == 2 and rec.trail.is_parameter(b):
        return _linear(rec, y, a, b, None)
    first, second = rec.trail.axes(a), rec.trail.axes(b)
    axes = (*first[:-1], second[-1]) if a.ndim == 2 else (first[0], first[1], *plain(y.shape[-1:]))
    inner = plain(a.shape[-2:])
    left = laid(rec.trail.array(a), (*first[:-2], *inner))
    right = laid(rec.trail.array(b), (*first[:-2], *plain(b.shape[-2:])))  # b has the cells of a
    if left.array.dtype.kind == right.array.dtype.kind == "f":  # if one holds spikes, it accumulates the other
        for x, array in ((a, left.array), (b, right.array)):
            if not rec.trail.is_parameter(x):
                rec.weigh(x, array)
    made = laid(rec.trail.array(y, analog=True), (*first[:-2], *plain(y.shape[-2:])))
    outside = rec.count(F.MatMul(), (left.array, right.array), (made.array,), left.leading, [a, b])
    rec.made(y, False, outside, axes)


def with_bias(rec: Recorder, y: Any, b: Any, x: Any, w: Any, **scales: Any) -> None:
    """aten.addmm: b + x @ w."""
    if any(v != 1 for v in scales.values()) or not rec.trail.is_parameter(w):
        return rec.name("addmm", [b, x, w])
    _linear(rec, y, x, w, b)


def _channels_last(rec: Recorder, x: Any) -> Any:
    """x [M, C, ...] with its cells first and its channels last."""
    ours = laid(rec.trail.array(x, zeros=True), rec.batch_axes(x))
    spatial = x.ndim - 2
    return ours._replace(array=np.moveaxis(ours.array, -spatial - 1, -1))


RULES = {"convolution": convolution, "mm": product, "bmm": product, "addmm": with_bias}
