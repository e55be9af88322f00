"""Exact operation counts while a network runs: `with count_ops() as ops: model(x)`."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.context import context
from snncore.opcount.columns import COLUMNS
from snncore.opcount.cost import CostError, Facts, OpCount, exact_sum
from snncore.tape import Function, at_timestep, observe

__all__ = ["Call", "CostError", "OpCount", "Ops", "at_timestep", "count_ops"]


@dataclass(frozen=True)
class Call:
    """One call that was counted.

    layer: path of the module that made it, such as stages.0.unimodal.a.conv; the name of the operation if none did.
    function: name of the operation. cost: its counts. step: the timestep it belongs to, if it was one of a loop.
    batch: which part of the data it saw, counted by `Ops.next_batch`.
    """

    layer: str
    function: str
    cost: OpCount
    step: int | None
    batch: int


class Ops:
    """Counts of everything that ran in a `count_ops` block: in total, by layer, by timestep, by sample.

    Columns are those of `snncore.opcount.columns.COLUMNS`. Some are other readings of the same operations (the column
    says of which): they are kept apart, and adding them up is the business of a rule in `snncore.energy`.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.batches = 1

    def next_batch(self) -> None:
        """Say that what follows are other samples: they come after the earlier ones in `by_sample`."""
        self.batches += 1

    def extend(self, other: "Ops") -> None:
        """Add the counts of other samples."""
        self.calls += [replace(call, batch=call.batch + self.batches) for call in other.calls]
        self.batches += other.batches

    @property
    def samples(self) -> int:
        """Number of samples that were seen, of all batches; 0 if no call had a time and a sample axis."""
        of_batch = {call.batch: lead[1] for call in self.calls for lead, _ in call.cost.blocks if len(lead) == 2}
        return sum(of_batch.values())

    def totals(self, layer: str | None = None) -> dict[str, int]:
        """Every column over all calls, or those of one layer: exact Python integers, zeros included."""
        sums = dict.fromkeys(COLUMNS, 0)
        for call in self._of(layer):
            for name, value in call.cost.totals().items():
                sums[name] += value
        return sums

    def layers(self) -> dict[str, dict[str, int]]:
        """Totals by layer, in the order in which they first ran; columns that are zero are absent."""
        table: dict[str, dict[str, int]] = {}
        for call in self.calls:
            row = table.setdefault(call.layer, {})
            for name, value in call.cost.totals().items():
                row[name] = row.get(name, 0) + value
        return table

    def by_timestep(self, column: str, layer: str | None = None) -> list[int]:
        """A column for each timestep, summed over samples; what belongs to no timestep is in `unresolved`."""
        return [int(v) for v in self.table(column, layer).sum(axis=1)]

    def by_sample(self, column: str, layer: str | None = None) -> list[int]:
        """A column for each sample, summed over timesteps; what belongs to no sample is in `unresolved`."""
        return [int(v) for v in self.table(column, layer).sum(axis=0)]

    def unresolved(self, column: str, layer: str | None = None) -> int:
        """What a column counts for a call as a whole, such as losses, and operations on arrays without a time axis."""
        blocks = (block for call in self._of(layer) if call.step is None for block in call.cost.blocks)
        return sum(exact_sum(columns[column], ()) for lead, columns in blocks if lead == () and column in columns)

    def table(self, column: str, layer: str | None = None) -> np.ndarray:
        """A column by timestep and sample: Python integers [T, N].

        Raises CostError for an unknown column, or where the calls do not agree on the number of timesteps or samples.
        """
        if column not in COLUMNS:
            raise CostError(f"column: expected one of {', '.join(COLUMNS)}, found {column!r}")
        parts: dict[int, dict[int, list[np.ndarray]]] = {}  # batch -> timestep -> rows [N]
        for call in self._of(layer):
            for lead, columns in call.cost.blocks:
                value = columns.get(column, 0)
                steps = parts.setdefault(call.batch, {})
                if len(lead) == 2:
                    for t, row in enumerate(np.broadcast_to(np.asarray(value, object), lead)):
                        steps.setdefault(t, []).append(row)
                elif call.step is not None:  # a loop over time; what it counts as a whole goes to its timestep
                    row = np.broadcast_to(np.asarray(value, object), lead)
                    if lead:
                        steps.setdefault(call.step, []).append(row)
        columns_of = [self._rows(steps) for batch, steps in sorted(parts.items()) if steps]
        if not columns_of:
            return np.zeros((0, 0), object)
        if len({len(part) for part in columns_of}) != 1:
            raise CostError(f"batches of {sorted({len(part) for part in columns_of})} timesteps: expected one number")
        return np.concatenate(columns_of, axis=1)

    @staticmethod
    def _rows(steps: dict[int, list[np.ndarray]]) -> np.ndarray:
        sizes = sorted({len(row) for rows in steps.values() for row in rows})
        if len(sizes) != 1:
            raise CostError(
                f"samples: expected one number of them in a batch, found {sizes}; call next_batch() between batches"
            )
        table = np.zeros((max(steps) + 1, sizes[0]), object)
        for t, rows in steps.items():
            for row in rows:
                table[t] += row
        return table

    def facts(self) -> list[tuple[str, Facts]]:
        """What the rules of others ask, as (layer, facts) in the order of execution."""
        return [(call.layer, facts) for call in self.calls for facts in call.cost.facts]

    def _of(self, layer: str | None) -> list[Call]:
        return self.calls if layer is None else [call for call in self.calls if call.layer == layer]


class _Recorder:
    """Asks every operation that runs for its cost."""

    def __init__(self, ops: Ops, backward: bool) -> None:
        self.ops, self.backward = ops, backward
        self.names: dict[int, tuple[Any, dict[int, str]]] = {}  # id of a root module -> the module, its paths
        self.made: dict[int, Any] = {}  # id of an output -> weak reference to it

    def __call__(self, function: Function, inputs: tuple, outputs: tuple) -> None:
        cost = self._ask(function, "cost", inputs, outputs)
        if self.backward and any(function.needs):
            cost = cost + self._ask(function, "cost_backward", inputs, outputs)
        if inputs and inputs[0] is not None and not self._was_made(inputs[0]):
            cost.facts = tuple(replace(facts, outside=True) for facts in cost.facts)
        for y in outputs:
            self.made[id(y)] = _weak(y)
        layer = self._layer() or function.name
        self.ops.calls.append(Call(layer, function.name, cost, context.timestep, self.ops.batches - 1))

    @staticmethod
    def _ask(function: Function, method: str, inputs: tuple, outputs: tuple) -> OpCount:
        if getattr(type(function), method) is getattr(Function, method):
            what = "cost" if method == "cost" else "cost of its backward"
            raise CostError(
                f"{function.name} states no {what} and cannot be counted; "
                f"give it a method {method}(inputs, outputs) that returns an OpCount"
            )
        cost = getattr(function, method)(inputs, outputs)
        if not isinstance(cost, OpCount):
            raise CostError(f"{function.name}.{method}: expected an OpCount, found {type(cost).__name__}")
        return cost

    def _layer(self) -> str:
        if not context.scope:
            return ""
        root = context.scope[0]
        if id(root) not in self.names:
            self.names[id(root)] = root, {id(module): path for path, module in root.named_modules()}
        module = context.scope[-1]
        return self.names[id(root)][1].get(id(module)) or type(module).__name__

    def _was_made(self, x: Array) -> bool:
        known = self.made.get(id(x))
        return known is not None and known() is x


def _weak(y: Array) -> Any:
    try:
        return weakref.ref(y)
    except TypeError:  # an array type that takes no weak references
        return lambda: y


@contextmanager
def count_ops(backward: bool = False) -> Iterator[Ops]:
    """Count every operation that runs on tensors inside the block, exactly, from the spikes that really occur.

        with count_ops() as ops:
            model(x)
        ops.totals()["ac_binary"]

    backward: count, with each call that a gradient is wanted of, what its backward will do.
    The counts depend neither on the kernels, nor on how the samples are cut into batches, nor on the device; nothing
    is counted, and no time is spent, outside the block.
    Raises CostError, naming it, if an operation runs that states no cost.
    """
    ops = Ops()
    with observe(_Recorder(ops, backward)):
        yield ops
