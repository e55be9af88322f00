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
from snncore.opcount.cost import OpCount
from snncore.tape import Function

__all__ = ["StatedNeuron", "counted_here", "stated_elsewhere"]


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
    Kept for backward: nothing.
    """

    def __init__(self, firing: Firing, name: str = "MLIF", folds: bool = True) -> None:
        self.firing, self.neuron, self.folds = firing, name, folds

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
            mlif_cost(o, s, alpha, w, u is not None, self.firing, self.folds, self.neuron)
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
        scale = None if alpha is None or not self.folds else alpha.copy()
        current = lambda o: o.astype(kind) if weight is None else o * weight  # noqa: E731
        return Trace(s, o, self.firing, None, (u,), current, None, scale)
