"""Cost of elementwise arithmetic, sums, means and softmax."""

import math
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.kernels.count import pair_events
from snncore.opcount.cost import Facts, OpCount, Value, exact_sum, lead_of
from snncore.opcount.events import entries, events

__all__ = ["add_cost", "elementwise", "mul_cost", "reduction_cost", "residual_cost", "shrink_adds", "softmax_cost"]


def elementwise(y: Array, column: str) -> OpCount:
    """One operation for each entry of y."""
    lead = lead_of(y.shape)
    count: dict[str, Any] = {column: entries(y.shape, lead)}
    return OpCount(lead, **count)


def residual_cost(name: str, a: Array, b: Array, o: Array, lead: tuple[int, ...]) -> OpCount:
    """Cost of o = a + b of two spike trains: an addition where both have an event; elsewhere one passes as it is."""
    cells = (math.prod(lead), entries(a.shape, lead))
    counts = pair_events(a.reshape(cells), b.reshape(cells))
    both, coming, graded = (exact_sum(v, v.shape) for v in counts)
    facts = Facts("residual", name, 2 * o.size, o.size, math.prod(lead), spikes=True, events=coming, unit=graded == 0)
    if lead:
        return OpCount(lead, facts=(facts,), residual_add=counts[0].reshape(lead))
    return OpCount(lead, facts=(facts,), residual_add=both)


def add_cost(a: Array, b: Array, y: Array) -> OpCount:
    """Cost of a + b or a - b: one addition an entry.

    Two spike trains: where both have an event (a residual). A spike train with a float array: where it has an event.
    """
    lead = lead_of(y.shape)
    spikes = [x for x in (a, b) if x.dtype.kind != "f" and x.shape == y.shape]
    if len(spikes) == 2:
        return residual_cost("Add", a, b, y, lead)
    if len(spikes) == 1:
        binary, graded, _ = events(spikes[0], lead)
        return OpCount(lead, elem_add=binary + graded)
    return elementwise(y, "elem_add")


def mul_cost(a: Array, b: Array, y: Array) -> OpCount:
    """Cost of a * b: one multiplication an entry. Of spikes with floats: an event of 1 picks, one above multiplies."""
    spikes = [x for x in (a, b) if x.dtype.kind != "f" and x.shape == y.shape]
    if not spikes:
        return elementwise(y, "elem_mul")
    lead = lead_of(y.shape)
    binary, graded, _ = events(spikes[0], lead)
    return OpCount(lead, w_select=binary, w_mul=graded)


def shrink_adds(inputs: tuple, y: Array, needs: tuple[bool, ...]) -> int:
    """Additions that sum a gradient of y down to the inputs that were broadcast to it."""
    return sum(y.size - x.size for x, need in zip(inputs, needs, strict=True) if need)


def reduction_cost(x: Array, y: Array, axes: tuple[int, ...], mean: bool) -> OpCount:
    """Cost of a sum: n - 1 additions an output, of spikes one for each event; of a mean: a scaling an output more.

    Resolved by timestep and sample where it sums within them or over the timesteps; the first timestep then adds
    nothing, and the last one scales.
    """
    scaled = y.size if mean else 0
    lead = lead_of(x.shape)
    facts = (Facts("reduction", "Mean" if mean else "Sum", x.size, y.size, math.prod(lead)),)
    if len(lead) != 2 or 1 in axes or x.size == 0:
        adds = x.size - y.size
        if x.dtype.kind != "f":
            binary, graded, _ = events(x, ())
            adds = int(binary) + int(graded)
        return OpCount(facts=facts, elem_add=adds, elem_mul=scaled)
    per, kept = entries(x.shape, lead), y.size // (lead[1] if 0 in axes else math.prod(lead))
    by_step: np.ndarray[Any, Any] = np.full((lead[0], 1), per - kept, np.int64)
    muls: Value = kept if mean else 0
    if 0 in axes:
        by_step[1:] += kept
        last = np.zeros((lead[0], 1), np.int64)
        last[-1] = kept
        muls = last if mean else 0
    value: Value = by_step
    if x.dtype.kind != "f":
        binary, graded, _ = events(x, lead)
        value = binary + graded
    return OpCount(lead, facts=facts, elem_add=value, elem_mul=muls)


def softmax_cost(y: Array, axis: int) -> OpCount:
    """For each row of n: n - 1 comparisons, n subtractions, n exponentials, n - 1 additions, n divisions."""
    lead = lead_of(y.shape) if axis % y.ndim >= 2 else ()
    per = entries(y.shape, lead)
    rows = per // max(1, y.shape[axis])
    return OpCount(lead, elem_compare=per - rows, elem_add=2 * per - rows, special=per, elem_div=per)
