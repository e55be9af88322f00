"""Linear layers and products of others, stated as those of the engine."""

from typing import Any

from snncore import functions as F
from snncore.context import changed
from snncore.foreign.axes import kept, laid, plain
from snncore.foreign.recorder import Recorder
from snncore.functions.arithmetic import elementwise
from snncore.opcount.cost import OpCount

__all__ = ["RULES", "linear"]


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
    if b.ndim == 2 and _is_weight(rec, b):
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
    """aten.addmm: b + x @ w, b + w @ x with weights on the left, as (x^T w^T)^T, or a product of any two."""
    if any(v != 1 for v in scales.values()):
        return rec.name("addmm", [b, x, w])
    if _is_weight(rec, w):
        return _linear(rec, y, x, w, b)
    if not _is_weight(rec, x):
        return with_bias_of_each(rec, y, b, x, w)
    axes, turned = rec.trail.axes(w), w.t()
    rec.trail.follow(turned, (axes[1], *plain(w.shape[:1])))
    _linear(rec, y.t(), turned, x.t(), b)
    rec.trail.follow(y, (*kept(axes[:1], y.shape[:1]), axes[1]))


def _is_weight(rec: Recorder, w: Any) -> bool:
    return rec.trail.is_parameter(w) or rec.trail.of(w).learnt


def with_bias_of_each(rec: Recorder, y: Any, b: Any, x: Any, w: Any, **scales: Any) -> None:
    """aten.baddbmm: b + x @ w, such as a mask on the scores of attention."""
    if any(v != 1 for v in scales.values()):
        return rec.name("baddbmm", [b, x, w])
    product(rec, y, x, w)
    axes = rec.trail.axes(y)
    theirs = rec.trail.laid(y, True)
    with changed("samples", rec.trail.samples), changed("leading", theirs.leading):
        cost: OpCount = elementwise(theirs.array, "elem_add")
    rec.count(cost, (), (), theirs.leading, [x, w, b], "Add")
    rec.made(y, False, False, axes)


RULES = {"mm": product, "bmm": product, "addmm": with_bias, "baddbmm": with_bias_of_each}
