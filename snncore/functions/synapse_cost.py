"""Cost of layers with weights: events accumulate, analog input multiplies, and neither where no output is."""

import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.opcount.cost import Facts, OpCount, exact_sum, lead_of, times
from snncore.opcount.events import Triple, entries, events, mapped_events, taps, traffic, values

__all__ = ["conv_cost", "linear_cost", "weights_backward"]


def weights_cost(
    x: Array,
    y: Array,
    w: Array,
    b: Array | None,
    lead: tuple[int, ...],
    seen: Triple,
    reached: Triple,
    dense: tuple[int, int],
    facts: Facts,
) -> OpCount:
    """Columns of a layer with weights.

    seen: events of x in each cell. reached: accumulations of events of 1, of events above 1, of those by value; of
    float input the multiply-accumulates that are not with zero. dense: all multiply-accumulates of a cell, without
    and with those on the padding; by shape alone, so that a pass over no samples has them too.
    """
    columns: dict[str, Any] = {"dense_mac": dense[0], "dense_mac_padded": dense[1]}
    if x.dtype.kind == "f":
        columns |= {"mac": dense[0], "mac_nonzero": reached[0], "weight_bytes": dense[0] * w.dtype.itemsize}
    else:
        columns |= dict(zip(("ac_binary", "ac_graded", "ac_graded_by_value"), reached, strict=True))
        columns["weight_bytes"] = times(reached[0] + reached[1], w.dtype.itemsize)
    if b is not None:
        columns["bias_add"] = entries(y.shape, lead)
    columns |= {"events_in": seen[0] + seen[1], "places_in": entries(x.shape, lead)}
    columns |= traffic(x, lead, "read") | traffic(y, lead, "write")
    once = {"weight_bytes_once": w.nbytes + (0 if b is None else b.nbytes)}
    return OpCount(lead, once, (facts,), **columns)


def conv_cost(
    x: Array, y: Array, w: Array, b: Array | None, stride: tuple[int, int], padding: tuple[int, int]
) -> OpCount:
    """Cost of a convolution, x [..., H, W, Ci] to y [..., Ho, Wo, Co].

    The entry at row i and column j reaches rows(i) * cols(j) pixels of the output, and Co entries at each.
    """
    lead = lead_of(x.shape, features=3)
    (kh, kw, ci, co), (h, width) = w.shape, x.shape[-3:-1]
    rows, cols = taps(h, kh, stride[0], padding[0]), taps(width, kw, stride[1], padding[1])
    weight = np.outer(rows, cols).ravel()  # [H W]
    pixels = x.reshape(-1, h * width, ci)
    mapped, seen = mapped_events(pixels, lead, weight)
    binary, graded, value = (times(v, co) for v in mapped)
    images = entries(x.shape[:-3], lead)
    dense = images * int(rows.sum()) * int(cols.sum()) * ci * co
    padded = images * y.shape[-3] * y.shape[-2] * w.size
    if x.dtype.kind == "f":
        summed = pixels.sum(axis=-1, dtype=np.float64).sum(axis=0)  # [H W]
        value_taps = float((summed * array_module(summed).asarray(weight)).sum()) * co
    else:
        value_taps = float(exact_sum(binary, lead) + exact_sum(value, lead))
    facts = Facts(
        "conv",
        "Conv2d",
        in_size=x.size,
        out_size=y.size,
        cells=math.prod(lead),
        kernel=(kh, kw),
        stride=stride,
        channels=(ci, co),
        weights=w.size,
        bias=0 if b is None else b.size,
        value_taps=value_taps,
        **values(x, seen, lead),
    )
    return weights_cost(x, y, w, b, lead, seen, (binary, graded, value), (dense, padded), facts)


def linear_cost(x: Array, y: Array, w: Array, b: Array | None) -> OpCount:
    """Cost of y [..., Co] = x [..., Ci] @ w + b: every entry of x reaches Co outputs."""
    lead = lead_of(x.shape)
    ci, co = w.shape
    seen = events(x, lead)
    found = values(x, seen, lead)
    facts = Facts(
        "linear",
        "Linear",
        in_size=x.size,
        out_size=y.size,
        cells=math.prod(lead),
        channels=(ci, co),
        weights=w.size,
        bias=0 if b is None else b.size,
        value_taps=found["value_sum"] * co,
        **found,
    )
    binary, graded, value = (times(v, co) for v in seen)
    dense = entries(x.shape, lead) * co
    return weights_cost(x, y, w, b, lead, seen, (binary, graded, value), (dense, dense), facts)


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
