"""What of a layer with weights could be left out: zeros of its input, zeros among its weights, repeated timesteps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from snncore.backend import Array, array_module, asnumpy
from snncore.context import context
from snncore.opcount.cost import Value, exact_sum, look, times
from snncore.opcount.events import Events, Form, Pair, entries, nothing, tap_places

__all__ = ["effective_facts", "met_zeros", "spared_columns", "unit_cells", "zeros_of_conv", "zeros_of_linear"]


def zeros_of_linear(w: Array) -> np.ndarray | None:
    """How many weights of w [Ci, Co] that are exactly zero each entry of x meets: int64 [Ci], None if none is zero."""
    return _once(w, (), lambda: None if w.all() else asnumpy((w == 0).sum(axis=1)).astype(np.int64))


def zeros_of_conv(
    w: Array, size: Pair, channels: int, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1)
) -> np.ndarray | None:
    """How many weights that are exactly zero each entry of an image meets: int64 [H, W, Ci], None if none is zero.

    w: [kh, kw, Ci / groups, Co]. channels: Ci.
    """
    return _once(
        w,
        (size, channels, stride, padding, dilation),
        lambda: None if w.all() else _met_by_conv(w, size, channels, stride, padding, dilation),
    )


def _met_by_conv(w: Array, size: Pair, channels: int, stride: Pair, padding: Pair, dilation: Pair) -> np.ndarray:
    kh, kw, depth, co = w.shape
    groups = channels // depth
    zeros = asnumpy(w == 0).reshape(kh, kw, depth, groups, co // groups).sum(axis=-1)  # [kh, kw, depth, groups]
    of_channel = zeros.swapaxes(-1, -2).reshape(kh, kw, channels)  # channel g * depth + k is k of group g
    rows, cols = (tap_places(*axis) for axis in zip(size, (kh, kw), stride, padding, dilation, strict=True))
    met: np.ndarray = np.einsum("ah,bw,abc->hwc", rows, cols, of_channel)
    return met


def _once(w: Array, how: tuple, find: Callable[[], np.ndarray | None]) -> np.ndarray | None:
    """What `find` finds in weights; found once for each of them where they are said not to change."""
    known = context.unchanging
    if known is None:
        return find()
    key = id(w), how
    if key not in known:
        known[key] = find(), w  # kept with it, so that no other array comes by its id
    return known[key][0]


def met_zeros(x: Array, lead: tuple[int, ...], zeros: np.ndarray | None) -> Value:
    """Weights of zero that the entries of x [*lead, ...] which are not zero meet, in each cell.

    zeros: of each entry of the last axes of x. Sums are exact: each is far below 2^53.
    """
    if zeros is None or x.size == 0:
        return 0
    counts: np.ndarray = look(_met_zeros, (x,), lead, zeros)
    return int(counts.sum()) if lead == () else counts.reshape(lead)


def _met_zeros(x: Array, lead: tuple[int, ...], zeros: np.ndarray) -> np.ndarray:
    weight = array_module(x).asarray(zeros.ravel().astype(np.float64))
    cells = (x != 0).reshape(max(1, int(np.prod(lead))), -1, weight.size)  # [cells, M, K]
    return np.array([int(cell.sum(axis=0, dtype=np.float64) @ weight) for cell in cells], np.int64)


def spared_columns(
    x: Form,
    lead: tuple[int, ...],
    dense: int,
    reached: Events,
    zeros: np.ndarray | None,
    met: Value,
    repeated: np.ndarray | None,
    averaged: bool,
    biases: int,
) -> dict[str, Any]:
    """Columns that say of the operations of a layer with weights which of them another reading leaves out.

    dense: multiply-accumulates of a cell. reached: accumulations of each cell. zeros: weights of zero that each entry
    meets (`zeros_of_conv`). met: those that entries which are not zero meet (`met_zeros`). repeated: cells that repeat
    the timestep before. averaged: x is a mean of spikes. biases: additions of a bias, of a cell.
    """
    done = reached.all
    left = done - met if zeros is not None else done
    again: Value = nothing(lead) if repeated is None else repeated.astype(np.int64)
    if repeated is not None:
        left = left * (1 - again)
    columns: dict[str, Any] = {"add_repeated": again * biases}
    if x.dtype.kind != "f":
        spared = nothing(lead) if left is done else done - left
        repeats = again if repeated is None else done * again
        return columns | {"ac_repeated": repeats, "ac_zero_weight": met, "ac_spared": spared}
    columns |= {"mac_zero": dense - done, "mac_spared": dense - left, "mac_repeated": times(again, dense)}
    if zeros is not None:
        columns["mac_zero_weight"] = entries(x.shape, lead) // max(1, zeros.size) * int(zeros.sum())
    if averaged:
        columns |= {"mac_averaged": dense, "mac_averaged_nonzero": done, "mac_averaged_left": left}
    return columns


def unit_cells(counts: np.ndarray) -> np.ndarray:
    """In which cells analog input is nothing but -1, 0 and 1: bool [cells]. counts: from `count_analog`."""
    units: np.ndarray = counts[0] == counts[1] + counts[2]
    return units


def effective_facts(
    units: np.ndarray | None, lead: tuple[int, ...], seen: Events, reached: Events, met: Value
) -> dict[str, Any]:
    """The fields `effective` and `effective_unit` of `snncore.opcount.cost.Facts`.

    units: of analog input, from `unit_cells`; None for spikes. seen, reached: events of each cell, and what they reach.
    met: as of `spared_columns`.
    """
    done = reached.all - met
    effective = reached.sums[0] + reached.sums[1] - exact_sum(met, lead)
    unit = seen.binary if units is None else bool(units.all())
    if unit or len(lead) < 2:
        return {"effective": effective, "effective_unit": effective if unit else 0}
    if units is None:
        units = np.broadcast_to(np.asarray(seen.graded), lead) == 0
    good = units.reshape(lead).all(axis=1)  # [T]
    steps = np.broadcast_to(np.asarray(done), lead)[good]
    return {"effective": effective, "effective_unit": sum(exact_sum(step, step.shape) for step in steps)}
