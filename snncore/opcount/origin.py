"""Where the input of a call comes from: what counting saw of the arrays before it, that the array alone cannot tell."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from snncore.backend import Array, asnumpy
from snncore.context import context

__all__ = ["UNKNOWN", "Origin", "averages", "known_origin", "repeated_cells"]


class Origin(NamedTuple):
    """What is known of the first input of a call.

    outside: it came from outside, through operations that only move, add and scale. averaged: it is floats that adding
    and scaling made of spikes. repeated: bool for each cell, whether its values are those of the timestep before; None
    if that is not known. before: what the same layer got at the timestep before, in a network that loops over time.
    """

    outside: bool = False
    averaged: bool = False
    repeated: np.ndarray | None = None
    before: Array | None = None


UNKNOWN = Origin()

AVERAGING = frozenset(("pool_add", "pool_mul", "pool_mul_averaged", "pool_compare", "elem_mul", "w_select", "w_mul"))
BYTES = frozenset(("analog_read_bytes", "analog_write_bytes", "spike_read_bytes", "spike_write_bytes"))
PASSING = AVERAGING | BYTES


def known_origin() -> Origin:
    """Return the origin of the first input of the call that is asked for its cost."""
    return context.origin or UNKNOWN


def averages(names: set[str], kinds: set[str], given: Sequence[tuple[Array, bool]]) -> bool:
    """Whether a call hands on what is spikes, or a mean of spikes, as floats that only adding and scaling made of them.

    names: the columns of its cost. kinds: those of its facts. given: its inputs, each with whether it is such a mean.
    A factor must be one number, which can move into the weights that come after it. What else adds (a shift, another
    branch) may leave no zero a zero, and ends it.
    """
    if not (names <= PASSING or kinds == {"reduction"}):
        return False
    spikes = [averaged or x.dtype.kind != "f" for x, averaged in given]
    factors = all(good or x.size == 1 for good, (x, _) in zip(spikes, given, strict=True))
    return factors and (any(spikes) if names <= BYTES else spikes.count(True) == 1)


def repeated_cells(x: Array, lead: tuple[int, ...], origin: Origin) -> np.ndarray | None:
    """Cells of x [*lead, ...] whose input is that of the timestep before: bool of shape `lead`, or None for none.

    Only of what is known to be repeated, or comes from outside; the first timestep repeats nothing.
    """
    if origin.repeated is not None and origin.repeated.shape == lead:
        return origin.repeated
    if not origin.outside or not lead or x.size == 0:
        return None
    cells = x.reshape(*lead, -1)
    same: np.ndarray[Any, Any] = np.zeros(lead, bool)
    if len(lead) == 2:
        same[1:] = asnumpy((cells[1:] == cells[:-1]).all(axis=-1))
    before = origin.before
    if before is not None and before.shape == x.shape and before.dtype == x.dtype:
        last = before.reshape(*lead, -1)
        now, then = (cells[:1], last[-1:]) if len(lead) == 2 else (cells, last)
        same[: len(now)] = asnumpy((now == then).all(axis=-1))
    return same if same.any() else None
