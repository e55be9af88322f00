"""What costs are made of: events by timestep and sample, taps that land inside, values, bytes."""

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from snncore.backend import Array
from snncore.kernels.count import analog_values, flat_events, weighted_events
from snncore.opcount.cost import CostError, Value, look, times

__all__ = [
    "Events",
    "Form",
    "analog_events",
    "analog_facts",
    "analog_sum",
    "as_events",
    "check_events",
    "conv_taps",
    "count",
    "count_analog",
    "count_mapped",
    "entries",
    "events",
    "facts_of",
    "form_of",
    "mapped_events",
    "nothing",
    "spike_facts",
    "tap_places",
    "taps",
    "traffic",
]

Pair = tuple[int, int]


class Form(NamedTuple):
    """All that costs ask of an array whose entries they need not: it takes the place of one that will be gone."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return self.size * self.dtype.itemsize


def form_of(x: Array) -> Form:
    """Return the form of an array."""
    return Form(x.shape, x.dtype)


class Events(NamedTuple):
    """Entries that are 1, entries above 1, and the sum of the entries above 1, each for every cell.

    sums: each of the three over all cells. largest: the largest entry of all, at least 1.
    """

    ones: Value
    graded: Value
    value: Value
    sums: tuple[int, int, int]
    largest: int = 1

    @property
    def binary(self) -> bool:
        """Whether no entry is above 1: the other two are then the same zeros, and nothing need be added to `ones`."""
        return self.graded is self.value

    @property
    def all(self) -> Value:
        """Entries that are not zero."""
        return self.ones if self.binary else self.ones + self.graded

    def times(self, factor: int, most: int | None = None) -> "Events":
        """All counts `factor` times. most: what no count is above, if that is known."""
        ones, graded, value = (factor * each for each in self.sums)
        first = times(self.ones, factor, most)
        if self.binary:
            return Events(first, self.graded, self.value, (ones, graded, value), self.largest)
        more = times(self.graded, factor, most), times(self.value, factor, most)
        return Events(first, *more, (ones, graded, value), self.largest)


@functools.lru_cache(maxsize=64)
def nothing(lead: tuple[int, ...]) -> Value:
    """Return counts of 0 for each cell of lead."""
    if lead == ():
        return 0
    zeros = np.zeros(lead, np.int64)
    zeros.flags.writeable = False  # it is shared by all that ask
    return zeros


def as_events(counts: np.ndarray, lead: tuple[int, ...]) -> Events:
    """Counts int64 [4, M], such as those of `kernels.count.flat_events`, as events of each cell of lead.

    M: cells, or images of which each cell has as many. For () each is a Python integer.
    """
    ones, graded, value, _ = counts.sum(axis=1).tolist()
    sums = ones, graded, value
    largest = int(counts[3].max()) if graded else 1
    if lead == ():
        return Events(ones, graded, value if graded else graded, sums, largest)
    cells = math.prod(lead)
    each = counts
    if counts.shape[1] != cells:
        each = counts.reshape(4, cells, -1).sum(axis=-1) if cells else counts[:, :0]
    if not graded:
        none = nothing(lead)
        return Events(each[0].reshape(lead), none, none, sums, largest)
    return Events(each[0].reshape(lead), each[1].reshape(lead), each[2].reshape(lead), sums, largest)


def entries(shape: tuple[int, ...], lead: tuple[int, ...]) -> int:
    """Number of entries of an array of `shape` in each cell of `lead`, also where there are no samples."""
    return math.prod(shape[len(lead) :])


def _places(size: int, kernel: int, stride: int, padding: int, dilation: int) -> Iterator[np.ndarray]:
    """For each tap of a window, which of `size` inputs along an axis it meets, each at most once."""
    out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    for tap in range(kernel):
        place = np.arange(out) * stride + tap * dilation - padding
        yield place[(place >= 0) & (place < size)]


@functools.cache
def tap_places(size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> np.ndarray:
    """Which of `size` inputs along an axis each tap of a window meets: int64 [kernel, size] of 0 and 1."""
    met = np.zeros((kernel, size), np.int64)
    for tap, place in enumerate(_places(size, kernel, stride, padding, dilation)):
        met[tap, place] = 1
    met.flags.writeable = False  # it is shared by all that ask
    return met


@functools.cache
def taps(size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> np.ndarray:
    """How many outputs each of `size` inputs along an axis reaches: int64 [size]; borders, stride, padding exact."""
    reached = np.zeros(size, np.int64)
    for place in _places(size, kernel, stride, padding, dilation):  # a long window over a long sequence fits no matrix
        reached[place] += 1
    reached.flags.writeable = False
    return reached


def conv_taps(size: Pair, kernel: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1)) -> np.ndarray:
    """How many windows each pixel of an image of `size` (H, W) lies in: int64 [H, W], borders exact."""
    return _outer(*zip(size, kernel, stride, padding, dilation, strict=True))


@functools.cache
def _outer(rows: tuple[int, ...], cols: tuple[int, ...]) -> np.ndarray:
    reached = np.outer(taps(*rows), taps(*cols))
    reached.flags.writeable = False
    return reached


def count_mapped(x: Array, weight: np.ndarray) -> np.ndarray:
    """Count the events of each image of x [.., P, C], those of pixel p weight[p] times; and once each: int64 [2, 4, M].

    The pixels may be several axes. Of a float array, entries that are not zero count as events of 1. `as_events` reads
    each of the two.
    """
    counts: np.ndarray = look(_count_mapped, (x,), weight)
    return counts


def _count_mapped(x: Array, weight: np.ndarray) -> np.ndarray:
    if x.size == 0:
        return np.zeros((2, 4, 0), np.int64)
    return weighted_events(_countable(x).reshape(-1, len(weight), x.shape[-1]), weight)


def mapped_events(x: Array, lead: tuple[int, ...], weight: np.ndarray) -> Events:
    """Events of x [*lead, .., P, C] in each cell, those of pixel p weight[p] times, as of `count_mapped`."""
    return as_events(count_mapped(x, weight)[0], lead)


def count(x: Array, lead: tuple[int, ...]) -> np.ndarray:
    """Count the events of x [*lead, ...] in each cell: int64 [4, cells], which `as_events` reads.

    Of a float array, entries that are not zero count as events of 1.
    Raises CostError for an integer below 0: an event is there once or several times.
    """
    counts: np.ndarray = look(_count, (x,), lead)
    return counts


def _count(x: Array, lead: tuple[int, ...]) -> np.ndarray:
    return flat_events(_countable(x).reshape(math.prod(lead), entries(x.shape, lead)))


def events(x: Array, lead: tuple[int, ...]) -> Events:
    """Events of x [*lead, ...] in each cell, as of `count`."""
    return as_events(count(x, lead), lead)


def check_events(*xs: Array) -> None:
    """Raise CostError for an array of integers with one below 0: an event is there once or several times.

    The tools of others do not agree on signed or ternary spikes: NeuroBench takes -1 for a spike, SpikingJelly and
    syops for an analog value. As floats they are read by each rule as by its tool; as integers they are refused.
    """
    for x in xs:
        if x.dtype.kind == "i" and x.size and int(x.min()) < 0:
            raise CostError(
                f"events: expected integers of at least 0, found {int(x.min())} in an array of {x.dtype}; "
                "signed spikes are counted as floats"
            )


def _countable(x: Array) -> Array:
    if x.dtype.kind == "f":
        return x != 0
    check_events(x)
    return x


def traffic(x: Array | Form, lead: tuple[int, ...], way: str) -> dict[str, Any]:
    """Bytes of reading or writing (`way`) each entry of x once: of spikes if it is of an integer type, else analog."""
    kind = "analog" if x.dtype.kind == "f" else "spike"
    return {f"{kind}_{way}_bytes": entries(x.shape, lead) * x.dtype.itemsize}


def count_analog(x: Array, lead: tuple[int, ...]) -> np.ndarray:
    """Count in each cell of analog x [*lead, ...] the entries that are not zero, 1, -1, below 0: int64 [4, cells]."""
    look(None, (x,))  # and sums, which no count tells
    return analog_values(x.reshape(math.prod(lead), entries(x.shape, lead)))


def analog_events(counts: np.ndarray, lead: tuple[int, ...]) -> Events:
    """Events of analog input, each entry that is not zero an event of 1. counts: from `count_analog`."""
    there, none = int(counts[0].sum()), nothing(lead)
    return Events(counts[0].reshape(lead) if lead else there, none, none, (there, 0, 0))


def analog_facts(counts: np.ndarray, total: float) -> dict[str, Any]:
    """What the values of analog input tell the rules of others: fields of `snncore.opcount.cost.Facts`.

    counts: from `count_analog`. total: the sum of all entries.
    """
    there, ones, minus, negative = counts.sum(axis=1).tolist()
    return {
        "events": there,
        "value_sum": total,
        "unit": ones == there,
        "negative": negative > 0,
        "signed_unit": ones + minus == there,
    }


def spike_facts(seen: Events) -> dict[str, Any]:
    """The same of spikes, which their events tell."""
    ones, graded, value = seen.sums
    return {
        "spikes": True,
        "events": ones + graded,
        "largest": seen.largest,
        "value_sum": float(ones + value),
        "unit": graded == 0,
        "signed_unit": graded == 0,
    }


def facts_of(x: Array, seen: Events) -> dict[str, Any]:
    """`analog_facts` of floats, `spike_facts` of spikes whose events are `seen`."""
    return analog_facts(count_analog(x, ()), analog_sum(x)) if x.dtype.kind == "f" else spike_facts(seen)


def analog_sum(x: Array) -> float:
    """Sum of the entries of analog input."""
    return float(x.sum(dtype=np.float64))
