"""Spike-element-wise connection of a residual block (Eq. 4 of the paper)."""

import math
import operator
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.functions.widening import combine_spikes
from snncore.kernels.count import pair_events
from snncore.nearest import one_of
from snncore.opcount.cost import Facts, OpCount, later, lead_of, look
from snncore.opcount.events import check_events, entries, events, traffic
from snncore.tape import Function

CONNECTS = ("add", "and", "iand")


class SEW(Function):
    """Join the spikes `a` of a residual branch with the spikes `s` that entered the block.

        add:   o = a + s          ga = go            gs = go
        and:   o = a * s          ga = go * s        gs = go * a
        iand:  o = (1 - a) * s    ga = -go * s       gs = go * (1 - a)

    Of graded spikes a (above 1), iand takes 0 for 1 - a: an event of any value stops s.

    a, s: uint8, same shape (float in relaxed mode). Returns o: uint8; `add` of 0/1 spikes gives 0, 1 or 2. Where the
    values could leave uint8, o gets a wider type (`combine_spikes`).
    Source: Fang et al., Deep Residual Learning in Spiking Neural Networks, NeurIPS 2021; the paper uses add.
    Raises ValueError for another connection or other shapes.
    """

    looks = True

    def __init__(self, connect: str = "add") -> None:
        if connect not in CONNECTS:
            raise ValueError(f"connect: {one_of(connect, CONNECTS)}")
        self.connect = connect

    def forward(self, a: Array, s: Array) -> Array:
        if a.shape != s.shape:
            raise ValueError(f"SEW: expected two arrays of one shape, found {a.shape} and {s.shape}")
        floats = "f" in (a.dtype.kind, s.dtype.kind)
        if self.connect == "add":
            add = self.kernels.sew_add
            return add(a, s) if floats else combine_spikes("SEW", add, a, s)
        self.save(a, s)
        if self.connect == "and":
            return a * s if floats else combine_spikes("SEW", operator.mul, a, s)
        return (1 - a) * s if a.dtype.kind == "f" else s * (a == 0)

    def backward(self, go: Array) -> Any:
        if self.connect == "add":
            return go, go
        a, s = self.saved
        if self.connect == "and":
            return go * s, go * a
        return -go * s, go * ((1 - a) if a.dtype.kind == "f" else (a == 0))

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        a, s = inputs
        lead = lead_of(s.shape)
        moved = {name: 2 * size for name, size in traffic(s, lead, "read").items()} | traffic(outputs[0], lead, "write")
        if self.connect == "add":
            return residual_cost("SEW", a, s, outputs[0], lead) + OpCount(lead, **moved)
        return OpCount(lead, residual_logic=events(s, lead).all, **moved)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        if self.connect == "add":
            return OpCount()
        return OpCount(back_mul=2 * outputs[0].size)


def residual_cost(name: str, a: Array, b: Array, o: Array, lead: tuple[int, ...]) -> OpCount:
    """Cost of o = a + b of two spike trains: an addition where both have an event; elsewhere one passes as it is."""
    return later(_residual, name, look(_pairs, (a, b), lead), o.size, lead)


def _pairs(a: Array, b: Array, lead: tuple[int, ...]) -> np.ndarray:
    """Counts of `pair_events` in each cell, int64 [3, cells]."""
    check_events(a, b)
    cells = (math.prod(lead), entries(a.shape, lead))
    a, b = (_as_events(x) if x.dtype.kind == "f" else x for x in (a, b))
    return pair_events(a.reshape(cells), b.reshape(cells))


def _as_events(x: Array) -> Array:
    """Return floats as the events that they stand for: 0, 1 for any other value up to 1, 2 for one above 1."""
    return (x != 0).astype(np.uint8) + (x > 1)


def _residual(name: str, counts: np.ndarray, size: int, lead: tuple[int, ...]) -> OpCount:
    """State that cost from the counts of `pair_events`. size: entries of o."""
    both, coming, graded = counts.sum(axis=1).tolist()
    facts = Facts("residual", name, 2 * size, size, math.prod(lead), spikes=True, events=coming, unit=graded == 0)
    return OpCount(lead, facts=(facts,), residual_add=counts[0].reshape(lead) if lead else both)
