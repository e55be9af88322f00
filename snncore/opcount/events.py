"""What costs are made of: events by timestep and sample, taps that land inside, values, bytes."""

import functools
import math
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.kernels.count import flat_events, weighted_events
from snncore.opcount.cost import Value, exact_sum

__all__ = ["entries", "events", "mapped_events", "taps", "traffic", "values"]

Triple = tuple[Value, Value, Value]
"""Events of value 1, events above 1, and the sum of the values above 1, each for every cell."""


def entries(shape: tuple[int, ...], lead: tuple[int, ...]) -> int:
    """Number of entries of an array of `shape` in each cell of `lead`, also where there are no samples."""
    return math.prod(shape[len(lead) :])


@functools.cache
def taps(size: int, kernel: int, stride: int, padding: int = 0) -> np.ndarray:
    """How many outputs each of `size` inputs along an axis reaches: int64 [size]; borders, stride, padding exact."""
    out = (size + 2 * padding - kernel) // stride + 1
    reached = np.zeros(size, np.int64)
    for tap in range(kernel):
        place = np.arange(out) * stride + tap - padding
        reached[place[(place >= 0) & (place < size)]] += 1
    reached.flags.writeable = False  # it is shared by all that ask
    return reached


def mapped_events(x: Array, lead: tuple[int, ...], weight: np.ndarray) -> tuple[Triple, Triple]:
    """Events of x [*lead, .., P, C] in each cell, those of pixel p weight[p] times; and once each.

    Of a float array, entries that are not zero count as events of 1.
    """
    counted = (x != 0) if x.dtype.kind == "f" else x
    if x.size == 0:
        counts = np.zeros((2, 3, 0), np.int64)
    else:
        counts = weighted_events(counted.reshape(-1, len(weight), x.shape[-1]), weight)
    if lead == ():
        totals = [[int(v) for v in three.sum(axis=1)] for three in counts]
        return (totals[0][0], totals[0][1], totals[0][2]), (totals[1][0], totals[1][1], totals[1][2])
    cells = math.prod(lead)
    per_cell = counts.reshape(6, cells, -1).sum(axis=-1) if cells else np.zeros((6, 0), np.int64)
    a, b, c, d, e, f = per_cell.reshape(6, *lead)
    return (a, b, c), (d, e, f)


def events(x: Array, lead: tuple[int, ...]) -> Triple:
    """Events of x [*lead, ...] in each cell; of a float array, entries that are not zero count as events of 1."""
    counted = (x != 0) if x.dtype.kind == "f" else x
    counts = flat_events(counted.reshape(math.prod(lead), entries(x.shape, lead)))
    if lead == ():
        binary, graded, value = (int(v) for v in counts[:, 0])
        return binary, graded, value
    a, b, c = counts.reshape(3, *lead)
    return a, b, c


def traffic(x: Array, lead: tuple[int, ...], way: str) -> dict[str, Any]:
    """Bytes of reading or writing (`way`) each entry of x once: of spikes if it is of an integer type, else analog."""
    kind = "analog" if x.dtype.kind == "f" else "spike"
    return {f"{kind}_{way}_bytes": entries(x.shape, lead) * x.dtype.itemsize}


def values(x: Array, seen: Triple, lead: tuple[int, ...]) -> dict[str, Any]:
    """What the rules of others ask about the values of an input: fields of `snncore.opcount.cost.Facts`.

    seen: the events of x in each cell of lead.
    """
    if x.dtype.kind != "f":
        binary, graded, value = (exact_sum(v, lead) for v in seen)
        return {
            "spikes": True,
            "events": binary + graded,
            "value_sum": float(binary + value),
            "unit": graded == 0,
            "signed_unit": graded == 0,
        }
    zeros, ones, minus = (int((x == v).sum()) for v in (0, 1, -1))
    return {
        "events": x.size - zeros,
        "value_sum": float(x.sum(dtype=np.float64)),
        "unit": zeros + ones == x.size,
        "signed_unit": zeros + ones + minus == x.size,
    }
