"""Cost of operations that apply weights: events accumulate, analog input multiplies, exactly at the borders.

`Conv2d`, `GroupedConv2d` and `Linear` state their costs with it, and so may an operation of your own; the counting
rules of others then read it like theirs.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from snncore.backend import Array, array_module
from snncore.opcount.cost import Facts, OpCount, Value, later, lead_of, times
from snncore.opcount.events import (
    Form,
    analog_events,
    analog_facts,
    analog_sum,
    as_events,
    count,
    count_analog,
    count_mapped,
    entries,
    form_of,
    spike_facts,
    traffic,
)
from snncore.opcount.origin import known_origin, repeated_cells
from snncore.opcount.spared import effective_facts, met_zeros, spared_columns, unit_cells

__all__ = ["weights_backward", "weights_cost"]


class _Counted(NamedTuple):
    """What is found in the input of a layer with weights while it is there.

    plain: counts of its entries, those of `count` of spikes, of `count_analog` of analog input. mapped: counts of its
    events, each as often as there are windows that it lies in; None for once. sums: of analog input, the sum of its
    entries, and that of each once a window; None of spikes. met: weights of zero that events meet (`met_zeros`).
    repeated: cells that are those of the timestep before. averaged: it is a mean of spikes.
    """

    plain: np.ndarray
    mapped: np.ndarray | None
    sums: tuple[float, float] | None
    met: Value
    repeated: np.ndarray | None
    averaged: bool


def weights_cost(
    layer: str,
    x: Array,
    y: Array,
    w: Array,
    b: Array | None,
    targets: int,
    taps: np.ndarray | None = None,
    stride: tuple[int, int] = (1, 1),
    zeros: np.ndarray | None = None,
) -> OpCount:
    """Cost of y = b + what the entries of x add to it, each through weights of w.

    targets: entries of y that an entry of x goes into under one tap of the window: Co, or Co / groups.
    taps: of a convolution, x [..., H, W, Ci] and w [kh, kw, ...]: int64 [H, W], windows that each pixel lies in, from
    `conv_taps`. None for a linear layer, x [..., Ci]. layer: name of the operation; stride: for the rules of others.
    zeros: weights of exactly zero that each entry meets, from `zeros_of_conv` or `zeros_of_linear`; None for none.
    Dense counts follow from the shapes alone, so that a pass over no samples has them too.
    """
    lead = lead_of(x.shape, features=1 if taps is None else 3)
    found = _count(x, lead, taps, zeros)
    bias = None if b is None else form_of(b)
    cost = later(_state, layer, form_of(x), form_of(y), form_of(w), bias, targets, taps, stride, zeros, lead, found)
    cost.repeated = found.repeated
    return cost


def _count(x: Array, lead: tuple[int, ...], taps: np.ndarray | None, zeros: np.ndarray | None) -> _Counted:
    mapped = sums = None
    analog = x.dtype.kind == "f"
    if taps is not None:
        mapped, plain = count_mapped(x, taps.ravel())
    if analog:
        plain, sums = count_analog(x, lead), (analog_sum(x), _sum_of_taps(x, taps))
    elif taps is None:
        plain = count(x, lead)
    origin = known_origin()
    met, repeated = met_zeros(x, lead, zeros), repeated_cells(x, lead, origin)
    return _Counted(plain, mapped, sums, met, repeated, origin.averaged)


def _sum_of_taps(x: Array, taps: np.ndarray | None) -> float:
    """Sum of the entries of x, each once for every window that it lies in."""
    if taps is None:
        return analog_sum(x)
    summed = x.sum(axis=-1, dtype=np.float64).reshape(-1, taps.size).sum(axis=0)  # [H W]
    return float((summed * array_module(summed).asarray(taps.ravel())).sum())


def _state(
    layer: str,
    x: Form,
    y: Form,
    w: Form,
    b: Form | None,
    targets: int,
    taps: np.ndarray | None,
    stride: tuple[int, int],
    zeros: np.ndarray | None,
    lead: tuple[int, ...],
    found: _Counted,
) -> OpCount:
    """State the cost from what was found. The other arguments are those of `weights_cost`, arrays by their form."""
    seen = as_events(found.plain, lead) if found.sums is None else analog_events(found.plain, lead)
    mapped = seen if found.mapped is None else as_events(found.mapped, lead)
    most = _most(x, taps)
    reached = mapped.times(targets, most)
    co = max(1, y.shape[-1])
    windows = entries(x.shape, lead) if taps is None else entries(x.shape[:-3], lead) * int(taps.sum()) * x.shape[-1]
    dense, padded = windows * targets, entries(y.shape, lead) // co * w.size
    columns: dict[str, Any] = {"dense_mac": dense, "dense_mac_padded": padded}
    units = None
    if found.sums is not None:
        columns |= {"mac": dense, "mac_nonzero": reached.ones, "weight_bytes": dense * w.dtype.itemsize}
        of_values = analog_facts(found.plain, found.sums[0]) | {"value_taps": found.sums[1] * targets}
        units = unit_cells(found.plain)
    else:
        columns |= {"ac_binary": reached.ones, "ac_graded": reached.graded, "ac_graded_by_value": reached.value}
        columns["weight_bytes"] = times(reached.all, w.dtype.itemsize, None if most is None else most * targets)
        of_values = spike_facts(seen) | {"value_taps": float(reached.sums[0] + reached.sums[2])}
    biases = 0 if b is None else entries(y.shape, lead)
    if biases:
        columns["bias_add"] = biases
    columns |= spared_columns(x, lead, dense, reached, zeros, found.met, found.repeated, found.averaged, biases)
    columns |= {"events_in": seen.all, "places_in": entries(x.shape, lead)}
    columns |= traffic(x, lead, "read") | traffic(y, lead, "write")
    facts = Facts(
        "linear" if taps is None else "conv",
        layer,
        in_size=x.size,
        out_size=y.size,
        cells=math.prod(lead),
        kernel=(1, 1) if taps is None else w.shape[:2],
        stride=stride,
        channels=(x.shape[-1], y.shape[-1]),
        groups=co // max(1, targets),
        weights=w.size,
        bias=0 if b is None else b.size,
        repeated=0 if found.repeated is None else int(found.repeated.sum()),
        **of_values,
        **effective_facts(units, lead, seen, reached, found.met),
    )
    once = {"weight_bytes_once": w.nbytes + (0 if b is None else b.nbytes)}
    return OpCount(lead, once, (facts,), **columns)


def _most(x: Form, taps: np.ndarray | None) -> int | None:
    """What no sum of the entries of x, each once a window, is above; None if that follows not from its type."""
    return x.size * 255 * (1 if taps is None else max(1, int(taps.sum()))) if x.dtype.itemsize == 1 else None


def weights_backward(needs: tuple[bool, ...], cost: OpCount, y: Array) -> OpCount:
    """Cost of the backward of a layer with weights, from the cost of its forward.

    Gradient of the input, if wanted: the dense multiply-accumulates of the forward. Of the weights: an accumulation
    of gy wherever the forward accumulated, a multiply-accumulate where it multiplied. Of the bias: a sum over gy.
    """
    lead, forward = cost.blocks[0]
    gx, gw, gb = needs
    macs = (forward.get("dense_mac", 0) if gx else 0) + (forward.get("mac", 0) if gw else 0)
    acs: Any = (forward.get("ac_binary", 0) + forward.get("ac_graded", 0)) if gw else 0
    return OpCount(lead, back_mac=macs, back_ac=acs, back_add=entries(y.shape, lead) if gb else 0)
