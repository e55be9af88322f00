"""Cost of pooling: comparisons of a maximum, additions and scalings of a mean."""

import math

import numpy as np

from snncore.backend import Array
from snncore.opcount.cost import Facts, OpCount, Value, lead_of
from snncore.opcount.events import entries, events, mapped_events, taps, traffic, values

__all__ = ["avg_pool_cost", "global_pool_cost", "max_pool_cost"]


def _facts(name: str, x: Array, y: Array, kernel: tuple[int, int], lead: tuple[int, ...]) -> tuple[Facts]:
    found = values(x, events(x, lead), lead)
    return (Facts("pool", name, in_size=x.size, out_size=y.size, cells=math.prod(lead), kernel=kernel, **found),)


def max_pool_cost(x: Array, y: Array, kernel: tuple[int, int]) -> OpCount:
    """k - 1 comparisons for each output of a window of k; of binary spikes they are ORs."""
    lead = lead_of(x.shape, features=3)
    compares = entries(y.shape, lead) * (kernel[0] * kernel[1] - 1)
    moved = traffic(x, lead, "read") | traffic(y, lead, "write")
    return OpCount(lead, facts=_facts("MaxPool2d", x, y, kernel, lead), pool_compare=compares, **moved)


def avg_pool_cost(x: Array, y: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> OpCount:
    """Spikes: an addition for each event and window that it lies in. Analog: k - 1 a window. Then a scaling each."""
    lead = lead_of(x.shape, features=3)
    outputs = entries(y.shape, lead)
    adds: Value = outputs * (kernel[0] * kernel[1] - 1)
    if x.dtype.kind != "f":
        rows, cols = (taps(n, k, s) for n, k, s in zip(x.shape[-3:-1], kernel, stride, strict=True))
        pixels = x.reshape(-1, x.shape[-3] * x.shape[-2], x.shape[-1])
        (binary, graded, _), _ = mapped_events(pixels, lead, np.outer(rows, cols).ravel())
        adds = binary + graded
    moved = traffic(x, lead, "read") | traffic(y, lead, "write")
    return OpCount(lead, facts=_facts("AvgPool2d", x, y, kernel, lead), pool_add=adds, pool_mul=outputs, **moved)


def global_pool_cost(x: Array, y: Array) -> OpCount:
    """Spikes: an addition for each event. Analog: H W - 1 for each output. Then a scaling each."""
    lead = lead_of(x.shape, features=3)
    outputs = entries(y.shape, lead)
    adds: Value = outputs * (x.shape[-3] * x.shape[-2] - 1)
    if x.dtype.kind != "f":
        binary, graded, _ = events(x, lead)
        adds = binary + graded
    moved = traffic(x, lead, "read") | traffic(y, lead, "write")
    facts = _facts("GlobalAvgPool", x, y, x.shape[-3:-1], lead)
    return OpCount(lead, facts=facts, pool_add=adds, pool_mul=outputs, **moved)
