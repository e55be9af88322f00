"""Functions of others of one array, entry by entry, and the larger of two, stated as those of the engine."""

from typing import Any

import torch

from snncore import functions as F
from snncore.context import changed
from snncore.foreign.axes import kept
from snncore.foreign.pointwise import axes_of
from snncore.foreign.recorder import Recorder
from snncore.functions.arithmetic import elementwise
from snncore.opcount.cost import OpCount, lead_of
from snncore.opcount.events import entries

__all__ = ["RULES"]


KEPT = ("rounded", "near")


def one(*columns: str, keeps: bool = False, rounds: bool = False, name: str = "") -> Any:
    """Rule for a function of one array that costs one operation of each column an entry.

    keeps: spikes stay spikes. rounds: whole numbers come, which are events if none is below 0.
    """

    def rule(rec: Recorder, y: Any, x: Any, *settings: Any, **more: Any) -> None:
        axes = kept(rec.trail.axes(x), y.shape)
        theirs = rec.trail.laid(y, True, axes)
        cost = OpCount()
        for column in columns:
            with changed("samples", rec.trail.samples), changed("leading", theirs.leading):
                cost = cost + elementwise(theirs.array, column)
        handed = rec.count(cost, (theirs.array,), (), theirs.leading, [x], name or "Elementwise")
        known = rec.trail.of(x)
        if rounds:
            rec.made(y, True, handed, axes, rounded=known.rounded or not known.events)
        else:
            rec.made(y, keeps and known.events, handed, axes, **{n: keeps and getattr(known, n) for n in KEPT})

    return rule


def larger(rec: Recorder, y: Any, a: Any, b: Any) -> None:
    """aten.maximum and minimum: a comparison an entry; of two spike trains they make one."""
    axes = axes_of(rec, y, [a, b])
    theirs = rec.trail.laid(y, True, axes)
    with changed("samples", rec.trail.samples), changed("leading", theirs.leading):
        cost = elementwise(theirs.array, "elem_compare")
    outside = rec.count(cost, (), (), theirs.leading, [a, b], "Maximum")
    rec.made(y, rec.trail.of(a).events and rec.trail.of(b).events, outside, axes)


def power(rec: Recorder, y: Any, x: Any, exponent: Any) -> None:
    """aten.pow with a number."""
    if torch.is_tensor(exponent) or torch.is_tensor(x) is False:
        return rec.name("pow of an array by an array", [v for v in (x, exponent) if torch.is_tensor(v)])
    axes = rec.trail.axes(x)
    theirs = rec.trail.laid(y, True, axes)
    outside = rec.count(F.Power(exponent), (theirs.array,), (theirs.array,), theirs.leading, [x])
    rec.made(y, False, outside, axes)


def log_softmax(rec: Recorder, y: Any, x: Any, axis: int, *rest: Any) -> None:
    """aten._log_softmax: of a row of n, n - 1 comparisons for the largest, n exponentials, their sum, its logarithm."""
    axes = rec.trail.axes(x)
    theirs = rec.trail.laid(y, True, axes)
    with changed("samples", rec.trail.samples), changed("leading", theirs.leading):
        lead = lead_of(theirs.array.shape)
    lead = lead if theirs.places[axis % x.ndim][-1] >= len(lead) else ()  # a row goes through time or samples
    n = x.shape[axis]
    per = entries(theirs.array.shape, lead)
    rows = per // n
    adds = per + (per - rows) + per  # less the largest, the sum, less its logarithm
    cost = OpCount(lead, elem_compare=per - rows, elem_add=adds, special=per + rows)
    outside = rec.count(cost, (), (), theirs.leading, [x], "LogSoftmax")
    rec.made(y, False, outside, axes)


SPECIAL = "exp expm1 log log2 log10 log1p tanh sigmoid sqrt sin cos tan asin acos atan erf sinh cosh softplus"
RULES: dict[str, Any] = {
    "pow": power,
    "relu": one("elem_compare", keeps=True, name="ReLU"),
    "relu6": one("elem_compare", "elem_compare", name="ReLU6"),
    "hardtanh": one("elem_compare", "elem_compare", name="Hardtanh"),
    "clamp": one("elem_compare", "elem_compare", keeps=True, name="Clamp"),
    "clamp_min": one("elem_compare", keeps=True, name="Clamp"),
    "clamp_max": one("elem_compare", keeps=True, name="Clamp"),
    "leaky_relu": one("elem_compare", "elem_mul", name="LeakyReLU"),
    "elu": one("elem_compare", "special", "elem_add", name="ELU"),
    "silu": one("special", "elem_mul", name="SiLU"),
    "gelu": one("special", "elem_mul", "elem_mul", "elem_add", name="GELU"),
    "_prelu_kernel": one("elem_compare", "elem_mul", name="PReLU"),
    "celu": one("elem_compare", "special", "elem_add", "elem_mul", "elem_mul", name="CELU"),
    "mish": one("special", "special", "elem_mul", name="Mish"),
    "glu": one("special", "elem_mul", name="GLU"),
    "hardsigmoid": one("elem_add", "elem_compare", "elem_compare", "elem_mul", name="Hardsigmoid"),
    "hardswish": one("elem_add", "elem_compare", "elem_compare", "elem_mul", "elem_mul", name="Hardswish"),
    "hardshrink": one("elem_compare", "elem_compare", name="Hardshrink"),
    "softshrink": one("elem_compare", "elem_compare", "elem_add", name="Softshrink"),
    "threshold": one("elem_compare", name="Threshold"),
    "log_sigmoid_forward": one("special", name="LogSigmoid"),
    "_log_softmax": log_softmax,
    "lerp": one("elem_add", "elem_mul", "elem_add", name="Lerp"),
    "trunc": one("elem_compare", rounds=True, name="Trunc"),
    "neg": one("elem_mul", name="Mul"),
    "abs": one("elem_compare", keeps=True, name="Abs"),
    "sign": one("elem_compare", rounds=True, name="Sign"),
    "round": one("elem_compare", rounds=True, name="Round"),
    "floor": one("elem_compare", rounds=True, name="Floor"),
    "ceil": one("elem_compare", rounds=True, name="Ceil"),
    "reciprocal": one("elem_div", name="Div"),
    "rsqrt": one("special", "elem_div", name="Rsqrt"),
    "maximum": larger,
    "minimum": larger,
    **{name: one("elem_compare", name="Compare") for name in ("eq", "ne")},
    **{name: one("special", name=name.capitalize()) for name in SPECIAL.split()},
}
