"""Operations of others entry by entry, stated as those of the engine; which of them keep spikes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from snncore import functions as F
from snncore.context import changed
from snncore.foreign.axes import Axes, Laid, laid, plain
from snncore.foreign.recorder import Recorder
from snncore.foreign.trail import as_events
from snncore.foreign.writing import is_whole
from snncore.functions.arithmetic import elementwise
from snncore.opcount.cost import OpCount

__all__ = ["RULES", "axes_of"]


def add(rec: Recorder, y: Any, a: Any, b: Any, alpha: Any = 1) -> None:
    """a + alpha b. Two spike trains stay one; a bias on what a layer just made is the bias of that layer."""
    if alpha != 1:
        return _two(F.Add, F.Mul)(rec, y, a, b)
    if _unchanged(rec, y, a, b, 0):  # as Python's sum() begins
        return
    for x, bias in ((a, b), (b, a)):
        if _is_bias(rec, x, bias):
            axes = rec.trail.axes(x)
            theirs = rec.trail.laid(y, True, axes)
            with changed("samples", rec.trail.samples), changed("leading", theirs.leading):
                cost: OpCount = elementwise(theirs.array, "bias_add")
            cost += OpCount(once={"weight_bytes_once": bias.numel() * bias.element_size()})
            rec.count(cost, (), (), theirs.leading, [x], "Bias")
            return rec.made(y, False, False, axes)
    again = any(_gives_back(rec, x, other) for x, other in ((a, b), (b, a)))
    _two(F.Add)(rec, y, a, b)
    if again:
        known = rec.trail.of(y)
        known.events = known.near = True


def _gives_back(rec: Recorder, x: Any, other: Any) -> bool:
    """Whether x is s - other of spikes s, so that x + other is s but for the last digits (straight-through)."""
    if not (torch.is_tensor(x) and torch.is_tensor(other)):
        return False
    minus = rec.trail.of(x).minus
    return minus is not None and minus == StorageWeakRef(other.untyped_storage())


def subtract(rec: Recorder, y: Any, a: Any, b: Any, alpha: Any = 1) -> None:
    """a - alpha b."""
    if alpha != 1:
        return _two(F.Sub, F.Mul)(rec, y, a, b)
    spikes = rec.trail.of(a).events
    _two(F.Sub)(rec, y, a, b)
    if spikes and torch.is_tensor(b):
        rec.trail.of(y).minus = StorageWeakRef(b.untyped_storage())


def multiply(rec: Recorder, y: Any, a: Any, b: Any) -> None:
    """a b. A factor of 1, as in (v > 1) * 1.0, is none."""
    if not _unchanged(rec, y, a, b, 1):
        _two(F.Mul)(rec, y, a, b)


def _unchanged(rec: Recorder, y: Any, a: Any, b: Any, neutral: int) -> bool:
    """Whether one side is the number that changes nothing; what is known of the other then holds for y."""
    for x, number in ((a, b), (b, a)):
        if not torch.is_tensor(x) or (torch.is_tensor(number) and (number.numel() > 1 or x.numel() == 1)):
            continue
        if (not torch.is_tensor(number) or tuple(x.shape) == tuple(y.shape)) and bool(number == neutral):
            known = rec.trail.of(x)
            rec.made(y, known.events, known.outside, rec.trail.axes(x), **known.carried() | {"product": False})
            return True
    return False


def _is_bias(rec: Recorder, x: Any, bias: Any) -> bool:
    if not (torch.is_tensor(x) and torch.is_tensor(bias)):
        return False
    return rec.trail.of(x).product and bias.ndim == 1 and rec.trail.is_parameter(bias)


def _two(function: Callable, *more: Callable) -> Any:
    """Rule for an operation of two arrays or numbers that broadcast. more: operations that run before it."""

    def rule(rec: Recorder, y: Any, a: Any, b: Any, **settings: Any) -> None:
        tensors = _tensors(a, b)
        axes, leading, left, right, out = _operands(rec, y, a, b)
        both = None not in tensors and all(x.dtype.kind != "f" for x in (left, right))
        if both and left.shape == right.shape and function in CONNECTIONS:
            if rec.trail.of(b).inverted:  # s * (1 - a)
                left, right, tensors = right, left, tensors[::-1]
            rec.count(F.SEW(CONNECTIONS[function]), (left, right), (out,), leading, tensors)
            return rec.made(y, True, False, axes)
        for before in more:
            rec.count(before(), (left, right), (out,), leading, tensors)
        handed = rec.count(function(), (left, right), (out,), leading, tensors)
        rec.made(y, both and function in CONNECTIONS, handed, axes)

    return rule


CONNECTIONS = {F.Add: "add", F.Mul: "and"}
"""What joins two spike trains of one shape."""


def subtract_from(rec: Recorder, y: Any, a: Any, b: Any, alpha: Any = 1) -> None:
    """b - alpha a. Of spikes 1 - s is their NOT, which is free: spikes again."""
    axes, leading, left, right, out = _operands(rec, y, a, b)
    if left.dtype.kind != "f" and not torch.is_tensor(b) and b == alpha == 1 and int(left.max(initial=0)) <= 1:
        return rec.made(y, True, False, axes, inverted=True)
    handed = rec.count(F.Sub(), (left, right), (out,), leading, _tensors(a, b))
    rec.made(y, False, handed, axes)


def selected(rec: Recorder, y: Any, condition: Any, a: Any, b: Any) -> None:
    """aten.where: an entry is picked, nothing is computed. Of spikes, zeros or whole numbers come spikes."""
    tensors = [x for x in (a, b) if torch.is_tensor(x)]
    events = all(is_whole(x) if x.ndim == 0 else rec.trail.of(x).counts for x in tensors)
    of_constants = all(x.ndim == 0 or _is_constant(rec, x) for x in tensors)  # the condition alone says what comes
    outside = rec.trail.of(condition).outside if of_constants else all(rec.trail.of(x).outside for x in tensors)
    rec.made(y, events, outside, axes_of(rec, y, [condition, *tensors]))


def _is_constant(rec: Recorder, x: Any) -> bool:
    known = rec.trail.of(x)
    return not known.events and known.counts


def fire(rec: Recorder, y: Any, x: Any, *threshold: Any) -> None:
    """A comparison, which makes spikes of membranes."""
    axes = rec.trail.axes(x) if tuple(x.shape) == tuple(y.shape) else axes_of(rec, y, [x, *threshold])
    ours = rec.trail.laid(x, True) if tuple(x.shape) == tuple(y.shape) else rec.trail.laid(y, True, axes)
    rec.made(y, True, False, axes)
    theirs = rec.trail.laid(y, False, axes)
    rec.count(F.Fire(), (ours.array,), (theirs.array,), theirs.leading, [x])


def _operands(rec: Recorder, y: Any, a: Any, b: Any) -> tuple[Axes, int, np.ndarray, np.ndarray, np.ndarray]:
    """(axes of y, its cells, a, b, y) in the order of the engine; what is broadcast stays as it is."""
    axes = axes_of(rec, y, [x for x in (a, b) if torch.is_tensor(x)])
    theirs: Laid = laid(rec.trail.array(y, analog=True), axes)
    zeros = any(torch.is_tensor(x) and rec.trail.of(x).events for x in (a, b))  # spikes with zeros stay spikes
    both = [_operand(rec, x, y, axes, zeros) for x in (a, b)]
    if all(x.dtype.kind != "f" for x in both):
        narrow = as_events(theirs.array)
        return axes, theirs.leading, both[0], both[1], theirs.array if narrow is None else narrow
    return axes, theirs.leading, both[0], both[1], theirs.array


def _tensors(*xs: Any) -> list[Any]:
    """Those that are tensors, None for numbers."""
    return [x if torch.is_tensor(x) else None for x in xs]


def _operand(rec: Recorder, x: Any, y: Any, axes: Axes, zeros: bool) -> np.ndarray:
    if not torch.is_tensor(x):
        return np.asarray(x, np.float32)
    array = rec.trail.array(x, zeros=zeros)
    return laid(array, axes).array if array.shape == tuple(y.shape) else array


def axes_of(rec: Recorder, y: Any, sources: list[Any]) -> Axes:
    """Axes of y = f(sources) with broadcasting: of each the first that says what it is."""
    made = list(plain(y.shape))
    for x in sources:
        if not torch.is_tensor(x):
            continue
        for i, axis in enumerate(rec.trail.axes(x)):
            place = y.ndim - x.ndim + i
            if any(role for role, _ in axis) and x.shape[i] == y.shape[place] and not any(r for r, _ in made[place]):
                made[place] = axis
    return tuple(made)


RULES: dict[str, Any] = {
    "add": add,
    "sub": subtract,
    "rsub": subtract_from,
    "mul": multiply,
    "div": _two(F.Div),
    "where": selected,
    **dict.fromkeys(("ge", "gt", "le", "lt", "heaviside"), fire),
}
