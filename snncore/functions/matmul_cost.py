"""Cost of matrix products, of which either side, or both, may be spikes."""

import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module, asnumpy
from snncore.opcount.cost import Facts, OpCount, Value, exact_sum, lead_of, times
from snncore.opcount.events import entries, events, traffic, values

__all__ = ["matmul_backward", "matmul_cost"]


def matmul_cost(a: Array, b: Array, y: Array) -> OpCount:
    """Cost of y [.., n, m] = a [.., n, k] @ b [.., k, m].

    Floats multiply. Spikes against floats accumulate, each event once for every entry of the other side that it meets.
    Spikes against spikes accumulate where both have an event; it counts as graded if either is above 1.
    """
    lead = lead_of(y.shape, features=2)
    (n, k), m, batch = a.shape[-2:], b.shape[-1], y.shape[:-2]
    xp = array_module(a)
    a, b = xp.broadcast_to(a, (*batch, n, k)), xp.broadcast_to(b, (*batch, k, m))
    dense = entries(batch, lead) * n * k * m
    side, other = (a, m) if a.dtype.kind != "f" else (b, n)
    seen_events = events(side, lead)
    seen = values(side, seen_events, lead)
    columns: dict[str, Any] = {"dense_mac": dense, "dense_mac_padded": dense}
    if a.dtype.kind == b.dtype.kind == "f":
        columns |= {"mac": dense, "mac_nonzero": _meetings(a != 0, b != 0, lead)}
        value_taps = seen["value_sum"] * other
    elif a.dtype.kind != "f" and b.dtype.kind != "f":
        pairs, ones = _meetings(a != 0, b != 0, lead), _meetings(a == 1, b == 1, lead)
        product = _meetings(a, b, lead)
        columns |= {"ac_binary": ones, "ac_graded": pairs - ones, "ac_graded_by_value": product - ones}
        value_taps = float(exact_sum(product, lead))
    else:
        binary, graded, value = (times(v, other) for v in seen_events)
        columns |= {"ac_binary": binary, "ac_graded": graded, "ac_graded_by_value": value}
        value_taps = seen["value_sum"] * other
    columns |= {"events_in": seen_events[0] + seen_events[1], "places_in": entries(side.shape, lead)}
    columns |= traffic(y, lead, "write")
    for name, size in (*traffic(a, lead, "read").items(), *traffic(b, lead, "read").items()):
        columns[name] = columns.get(name, 0) + size
    facts = Facts(
        "matmul",
        "MatMul",
        in_size=side.size,
        out_size=y.size,
        cells=math.prod(lead),
        channels=(k, m),
        value_taps=value_taps,
        **seen,
    )
    return OpCount(lead, facts=(facts,), **columns)


def _meetings(a: Array, b: Array, lead: tuple[int, ...]) -> Value:
    """Sum of the entries of the integer product a @ b in each cell: a column of a meets a row of b, entry by entry."""
    left, right = a.sum(axis=-2, dtype=np.int64), b.sum(axis=-1, dtype=np.int64)  # [.., k]
    counts = asnumpy((left * right).reshape(math.prod(lead), entries(left.shape, lead)).sum(axis=-1))
    return int(counts.sum()) if lead == () else counts.reshape(lead)


def matmul_backward(a: Array, b: Array, y: Array, needs: tuple[bool, ...]) -> OpCount:
    """Cost of ga = gy @ b^T and gb = a^T @ gy, those wanted: dense unless the factor is spikes, which accumulate."""
    dense = y.size * a.shape[-1]
    macs = acs = 0
    for need, factor, meets in ((needs[0], b, a.shape[-2]), (needs[1], a, b.shape[-1])):
        if need and factor.dtype.kind == "f":
            macs += dense
        elif need:
            full = math.prod(y.shape[:-2]) * factor.shape[-2] * factor.shape[-1]
            acs += int((factor != 0).sum()) * (full // factor.size) * meets
    batches = math.prod(y.shape[:-2])  # a gradient is summed over what its input was broadcast to
    adds = sum(batches * math.prod(x.shape[-2:]) - x.size for x, need in zip((a, b), needs, strict=True) if need)
    return OpCount(back_mac=macs, back_ac=acs, back_add=adds)
