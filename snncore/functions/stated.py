"""A neuron that is written with operations of the tape states what it costs as the neuron that it is."""

import functools
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.context import changed
from snncore.firing import Firing
from snncore.functions.mlif import mlif_backward_cost, mlif_cost
from snncore.functions.trace import Trace
from snncore.opcount.cost import OpCount, Value, lead_of, times
from snncore.opcount.events import entries, events, traffic
from snncore.tape import Function

__all__ = ["StatedCurrent", "StatedNeuron", "counted_here", "stated_elsewhere"]


@contextmanager
def stated_elsewhere() -> Iterator[None]:
    """Operations in the block count nothing: an operation after it states the cost of the whole."""
    with changed("stated", True):
        yield


@contextmanager
def counted_here() -> Iterator[None]:
    """Operations in the block, inside one of `stated_elsewhere`, count as usual: a fusion with weights of its own."""
    with changed("stated", False):
        yield


class StatedNeuron(Function):
    """Hand on the spikes of a neuron, and state its cost by the definitions of `MLIF`.

        y_m = s_m;   gs_m = gy_m            for each of k modalities m

    Leak, charge (where an event comes), W, alpha, comparison, reset (at spikes), membranes: `mlif_cost`. What made s
    ran under `stated_elsewhere()`. name: of the neuron, for the rules of others. folds: alpha can move into the
    threshold, as no weights stand between them.
    Inputs, k of each: s, uint8 [T, N, ...]; o, what came in, spikes or float of the same shape; alpha, one entry, or
    None for none (or 1); w, as in MLIF; u, the membrane at the start, or None at rest. Returns s, or all k of them.
    on_current: alpha multiplies what comes in, where an event comes, and not the membrane.
    Kept for backward: nothing.
    """

    def __init__(self, firing: Firing, name: str = "MLIF", folds: bool = True, on_current: bool = False) -> None:
        self.firing, self.neuron, self.folds, self.on_current = firing, name, folds, on_current

    def forward(self, *inputs: Array | None) -> Any:
        self.k = len(inputs) // 5
        return inputs[: self.k] if self.k > 1 else inputs[0]

    def backward(self, *gy: Array) -> Any:
        return *gy, *[None] * (4 * self.k)

    def _each(self, inputs: tuple) -> list[tuple]:
        """(s, o, alpha, w, u) of each modality."""
        return [inputs[m :: self.k] for m in range(self.k)]

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        costs = [
            mlif_cost(o, s, alpha, w, u is not None, self.firing, self.folds, self.neuron, self.on_current)
            for s, o, alpha, w, u in self._each(inputs)
        ]
        return functools.reduce(operator.add, costs)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        costs = [
            mlif_backward_cost(o, s, w is not None, u is not None, self.firing) for s, o, _, w, u in self._each(inputs)
        ]
        return functools.reduce(operator.add, costs)

    def traces(self, inputs: tuple, outputs: tuple) -> tuple[Trace, ...]:
        """The membranes by charge and reset; what fires was decided by the operations that ran before."""
        return tuple(self._trace(*train) for train in self._each(inputs))

    def _trace(self, s: Array, o: Array, alpha: Array | None, w: Array | None, u: Array | None) -> Trace:
        weight = None if w is None else w.copy()
        kind = next((x.dtype for x in (alpha, w, o) if x is not None and x.dtype.kind == "f"), np.dtype(np.float32))
        by = None if alpha is None else alpha.copy()
        scale = by if self.folds and not self.on_current else None

        def current(o: Array) -> Array:
            c = o.astype(kind) if weight is None else o * weight
            return c * by if self.on_current and by is not None else c

        return Trace(s, o, self.firing, None, (u,), current, None, scale)


class StatedCurrent(Function):
    """Hand on a current, and state what it costs: c = alpha * o * w, where events come.

    An event of 1 picks w, or alpha where there is no w; one above 1 multiplies it; alpha multiplies w, unless it is
    exactly 1. Analog o multiplies at every entry. alpha can move into w once (`alpha_folded_mul` is then 0).
    What made c ran under `stated_elsewhere()`.
    Inputs: c, float [T, N, ...]; o, spikes or float of the same shape; alpha, one entry; w, as in MLIF, or None.
    Returns c. Kept for backward: nothing.
    """

    def forward(self, c: Array, o: Array, alpha: Array, w: Array | None = None) -> Array:
        return c

    def backward(self, gc: Array) -> Any:
        return gc, None, None, None

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        _, o, alpha, w = inputs
        lead = lead_of(o.shape)
        ones: Value
        graded: Value
        if o.dtype.kind == "f":
            ones, graded = 0, entries(o.shape, lead)
        else:
            seen = events(o, lead)
            ones, graded = seen.ones, seen.graded
        columns: dict[str, Any] = traffic(o, lead, "read") | traffic(outputs[0], lead, "write")
        once = {}
        scales = float(alpha.reshape(())) != 1
        if w is not None:
            columns |= {"w_select": ones, "w_mul": graded, "weight_bytes": times(ones + graded, w.dtype.itemsize)}
            columns["alpha_mul"] = ones + graded if scales else 0
            once = {"weight_bytes_once": w.nbytes}
        elif scales:
            columns |= {"alpha_mul": graded, "alpha_folded_mul": graded}
        return OpCount(lead, once, **columns)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Cost of galpha and gw: products of gc with o, w and alpha, and their sums."""
        n, weighted = outputs[0].size, inputs[3] is not None
        return OpCount(back_mul=n * (4 if weighted else 2), back_add=n * (2 if weighted else 1))
