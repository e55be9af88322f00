"""Counting a network of others: each of its operations is stated as the operation of the engine that it is."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from snncore.context import changed
from snncore.foreign.axes import Axes, plain
from snncore.foreign.trail import Known, Trail, small_whole
from snncore.opcount.columns import SCALING
from snncore.opcount.cost import OpCount
from snncore.opcount.ops import Call, Ops
from snncore.opcount.origin import UNKNOWN, Origin, averages
from snncore.tape import Function

__all__ = ["Handed", "LayoutError", "Recorder", "StepsError"]


class LayoutError(Exception):
    """The first axes of an input are not what was told of them."""


class StepsError(Exception):
    """The network runs another number of timesteps than was told."""


class Handed(NamedTuple):
    """What a call hands on: whether it is still input, a mean of spikes, and which cells repeat the timestep before."""

    outside: bool
    averaged: bool = False
    repeated: Any = None


class Recorder:
    """Holds the counts of one run of the network, and the modules that are running.

    uncounted: what states no cost here, as (path, type of module, operation, shapes). step: the timestep, if the
    network is called once for each.
    """

    def __init__(self, trail: Trail, root: str) -> None:
        self.trail, self.root = trail, root
        self.calls: list[Call] = []
        self.uncounted: Counter[tuple[str, str, str, str]] = Counter()
        self.notes: Counter[str] = Counter()
        self.running: list[tuple[str, str]] = []  # path and type of the modules whose forward is running
        self.before: dict[tuple[str, str], tuple[int | None, Any]] = {}  # by layer and operation: step, input then
        self.quiet = 0
        self.step: int | None = None
        self.in_time = False  # a neuron went through the axis that is taken for time
        self.looped: set[int] = set()  # entries of the first axis of an input that the network took one by one
        self.whole: dict[
            str, int | None
        ] = {}  # by layer: the largest of the whole numbers that it got as analog values
        self.prepared: dict[str, set[str]] = {}  # by layer: operations on parameters alone
        self.stacked = False  # a recurrent operation of several layers or ways runs: one after another, not by time
        self.loose: set[int] = set()  # places of its calls
        self.firing = 0  # neurons that are running, whose own arrays come from nowhere
        self.named = 0  # operations that were named, not counted
        self.rounded: dict[str, int] = {}  # by layer: the largest of the rounded numbers that it got as events

    @property
    def path(self) -> str:
        """Path of the module that is running, the type of the network outside of all."""
        return (self.running[-1][0] if self.running else "") or self.root

    @property
    def confirmed(self) -> bool:
        """Whether the network itself took the first axis of its inputs for time."""
        return self.in_time or len(self.looped) == (self.trail.timesteps or -1)

    @contextmanager
    def silent(self) -> Any:
        """Count nothing in the block: what runs there is counted as a whole."""
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1

    def count(
        self,
        function: Function | OpCount,
        inputs: Sequence[Any],
        outputs: Sequence[np.ndarray],
        leading: int,
        sources: Sequence[Any],
        name: str = "",
    ) -> Handed:
        """Record a call of `function` on arrays of the engine; return what is known of what it made.

        leading: how many of their first axes are cells. sources: the tensors that the first inputs are, None for one
        that is none. A cost may be given in place of a function, with its name.
        """
        known = [None if x is None else self.trail.of(x) for x in sources]
        first = known[0] if known else None
        name = name if isinstance(function, OpCount) else name or function.name
        told: dict[str, Any] = {
            "samples": self.trail.samples,
            "timesteps": self.trail.timesteps,
            "leading": leading,
            "timestep": None,
        }
        told["origin"] = self._origin(name, first, inputs[0] if len(inputs) else None, leading)
        if isinstance(function, OpCount):
            cost = function
        else:
            with ExitStack() as stack:
                for field, value in told.items():
                    stack.enter_context(changed(field, value))
                cost = function.cost(tuple(inputs), tuple(outputs))
        if first is not None and first.outside:
            cost.facts = tuple(replace(facts, outside=True) for facts in cost.facts)
        if self.stacked:
            self.loose.add(len(self.calls))
        self.calls.append(Call(self.path, name, cost, self.step, 0))
        names = {column for _, columns in cost.blocks for column in columns}
        outside = all(k.outside for k in known if k is not None) and names <= SCALING
        flags = [k is not None and k.averaged for k in known] + [False] * len(inputs)
        given = [(x, flag) for x, flag in zip(inputs, flags, strict=False) if x is not None]
        averaged = bool(given) and averages(names, {facts.kind for facts in cost.facts}, given)
        return Handed(outside, averaged, cost.repeated)

    def _origin(self, name: str, known: Known | None, x: Any, leading: int) -> Origin:
        """What is known of the first input; in a loop over time also what this layer got before, if from outside."""
        if known is None:
            return UNKNOWN
        before = None
        if known.outside and not known.blank and (self.step is not None or leading == 1):
            step, last = self.before.get((self.path, name), (None, None))
            before = last if self.step is None or step == self.step - 1 else None
            self.before[self.path, name] = self.step, x
        return Origin(known.outside, known.averaged, known.repeated, before)

    def batch_axes(self, x: Any) -> Axes:
        """Axes of x [M, C, ...] of which only the first is time and samples.

        Raises LayoutError if others were told to be: then `layout` is wrong.
        """
        axes = self.trail.axes(x)
        for i, axis in enumerate(axes[1:], 1):
            if i < x.ndim:
                self.check_feature(x, i, axis)
        return (axes[0], *plain(x.shape[1:])) if x.ndim > 1 else axes

    def check_feature(self, x: Any, place: int, axis: Any) -> None:
        """Raise LayoutError if an axis of an input that a layer takes for features was told to be another."""
        roles = {role for role, n in axis if role == "N" or (role and n > 1)}
        if roles and self.trail.is_input(x):
            raise LayoutError(
                f"layout: axis {place} of the input {tuple(x.shape)} was taken for "
                f"{'samples' if 'N' in roles else 'timesteps'}, but {self.path} takes it for features; "
                "say layout='N', 'TN' or 'NT'"
            )

    def weigh(self, x: Any, array: np.ndarray) -> None:
        """Remember what a layer with weights gets as analog values, if that could be events, or came from nowhere."""
        self.check_origin(x)
        if array.dtype.kind != "f" and self.trail.of(x).rounded and array.any():
            self.rounded[self.path] = max(int(array.max()), self.rounded.get(self.path, 0))
        if array.dtype.kind != "f" or self.trail.of(x).outside or self.trail.of(x).averaged:
            return
        top = None if self.whole.get(self.path, 0) is None else small_whole(array)
        self.whole[self.path] = None if top is None else max(top, self.whole.get(self.path) or 0)

    def check_origin(self, x: Any) -> None:
        """Name what a layer or a neuron computes with that no operation of torch made."""
        if x.ndim and not self.firing and self.trail.of(x).stray:
            text = "no operation of PyTorch made (NumPy, another library, a constant): what made it is not counted"
            self.notes[f"{self.path} gets an array of shape {tuple(x.shape)} that {text}"] = 1

    def made(self, y: Any, events: bool, handed: "Handed | bool", axes: Axes | None, **more: Any) -> None:
        """Say what an operation made. handed: what `count` returned, or only whether it is still input."""
        if isinstance(handed, Handed):
            more |= {"averaged": handed.averaged, "repeated": handed.repeated}
            handed = handed.outside
        self.trail.mark(y, events, handed, axes, **more)

    def name(self, operation: str, tensors: Sequence[Any]) -> None:
        """Name an operation that has no cost here."""
        shapes = ", ".join(f"{tuple(x.shape)}" for x in tensors) or "no tensors"
        kind = self.running[-1][1] if self.running else self.root
        self.uncounted[self.path, kind, operation, shapes] += 1
        self.named += 1

    def finish(self, ops: Ops, timesteps: int | None) -> None:
        """Give the calls to `ops`, those of a loop over time with their timestep."""
        ops.calls += with_steps(self.calls, timesteps, self.loose)


def with_steps(calls: list[Call], timesteps: int | None, loose: Collection[int] = ()) -> list[Call]:
    """Give each call its timestep where a network loops over time: one that ran a multiple of T times, in T parts.

    A call whose arrays have an axis of time longer than 1, or a layer that ran another number of times, has none, nor
    have those at the places `loose`.
    """
    if not timesteps or timesteps == 1:
        return calls
    keys = [(call.layer, call.function, len(call.cost.blocks[0][0]), k in loose) for k, call in enumerate(calls)]
    totals, seen = Counter(keys), Counter[tuple]()
    made = []
    for call, key in zip(calls, keys, strict=True):
        lead = call.cost.blocks[0][0]
        per = totals[key] // timesteps
        if (
            call.step is None
            and not key[-1]
            and per
            and totals[key] % timesteps == 0
            and (len(lead) < 2 or lead[0] == 1)
        ):
            call = replace(call, step=seen[key] // per)
        seen[key] += 1
        made.append(call)
    return made
