"""Cost of operations that apply weights: events accumulate, analog input multiplies, exactly at the borders.

`Conv2d`, `GroupedConv2d` and `Linear` state their costs with it, and so may an operation of your own; the counting
rules of others then read it like theirs.
"""

from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.opcount.cost import OpCount, exact_sum, lead_of, times
from snncore.opcount.events import Events, entries, events, facts_of, mapped_events, traffic
from snncore.opcount.origin import known_origin, repeated_cells
from snncore.opcount.spared import effective_facts, met_zeros, spared_columns

__all__ = ["weights_backward", "weights_cost"]


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
    seen, reached, value_taps = _reached(x, lead, targets, taps)
    co = max(1, y.shape[-1])
    windows = entries(x.shape, lead) if taps is None else entries(x.shape[:-3], lead) * int(taps.sum()) * x.shape[-1]
    dense, padded = windows * targets, entries(y.shape, lead) // co * w.size
    columns: dict[str, Any] = {"dense_mac": dense, "dense_mac_padded": padded}
    if x.dtype.kind == "f":
        columns |= {"mac": dense, "mac_nonzero": reached.ones, "weight_bytes": dense * w.dtype.itemsize}
    else:
        columns |= {"ac_binary": reached.ones, "ac_graded": reached.graded, "ac_graded_by_value": reached.value}
        most = _most(x, taps)
        most = None if most is None else most * targets
        columns["weight_bytes"] = times(reached.all, w.dtype.itemsize, most)
    biases = 0 if b is None else entries(y.shape, lead)
    if biases:
        columns["bias_add"] = biases
    origin = known_origin()
    repeated = repeated_cells(x, lead, origin)
    met = met_zeros(x, lead, zeros)
    columns |= spared_columns(x, lead, dense, reached, zeros, met, repeated, origin, biases)
    columns |= {"events_in": seen.all, "places_in": entries(x.shape, lead)}
    columns |= traffic(x, lead, "read") | traffic(y, lead, "write")
    facts = facts_of(
        "linear" if taps is None else "conv",
        layer,
        x,
        y,
        lead,
        seen,
        kernel=(1, 1) if taps is None else w.shape[:2],
        stride=stride,
        channels=(x.shape[-1], y.shape[-1]),
        groups=co // max(1, targets),
        weights=w.size,
        bias=0 if b is None else b.size,
        value_taps=value_taps,
        repeated=0 if repeated is None else int(repeated.sum()),
        **effective_facts(x, lead, seen, reached, met),
    )
    once = {"weight_bytes_once": w.nbytes + (0 if b is None else b.nbytes)}
    cost = OpCount(lead, once, (facts,), **columns)
    cost.repeated = repeated
    return cost


def _reached(x: Array, lead: tuple[int, ...], targets: int, taps: np.ndarray | None) -> tuple[Events, Events, float]:
    """Events of x in each cell; the accumulations that they make; and the sum of x, each entry once a target."""
    if taps is None:
        seen = mapped = events(x, lead)
    else:
        pixels = x.reshape(-1, taps.size, x.shape[-1])  # [M, H W, Ci]
        mapped, seen = mapped_events(pixels, lead, taps.ravel())
    most = _most(x, taps)
    ones = times(mapped.ones, targets, most)
    if mapped.binary:
        reached = Events(ones, mapped.graded, mapped.value)
    else:
        reached = Events(ones, times(mapped.graded, targets, most), times(mapped.value, targets, most))
    if x.dtype.kind != "f":
        value = 0 if reached.binary else exact_sum(reached.value, lead)
        return seen, reached, float(exact_sum(ones, lead) + value)
    if taps is None:
        return seen, reached, float(x.sum(dtype=np.float64)) * targets
    summed = pixels.sum(axis=-1, dtype=np.float64).sum(axis=0)  # [H W]
    return seen, reached, float((summed * array_module(summed).asarray(taps.ravel())).sum()) * targets


def _most(x: Array, taps: np.ndarray | None) -> int | None:
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
