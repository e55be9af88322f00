"""Counting while a network runs: `with count_ops(samples=n) as ops: model(x)`."""

import functools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from snncore.backend import Array
from snncore.context import context, current_path, exchange
from snncore.given import as_count
from snncore.opcount.again import Again, Looks, Plan
from snncore.opcount.columns import SCALING
from snncore.opcount.cost import CostError, Later, OpCount
from snncore.opcount.layout import Layout, after
from snncore.opcount.ops import Call, Ops
from snncore.opcount.origin import UNKNOWN, Origin, averages
from snncore.tape import Function, at_timestep, observe

__all__ = ["Call", "CostError", "OpCount", "Ops", "at_timestep", "count_ops"]


class _Made(NamedTuple):
    """What is known of an array that was made: whether it is still input from outside, and which axes are which."""

    array: Any  # a weak reference
    outside: bool
    layout: Layout | None
    averaged: bool = False
    repeated: Any = None


COMPUTING = frozenset(("conv", "linear", "matmul", "neuron"))
"""Kinds of call that do more than move, add and scale the entries of their inputs."""


class _Recorder:
    """Asks every operation that runs for its cost."""

    def __init__(self, ops: Ops, backward: bool, fixed: bool) -> None:
        self.ops, self.backward, self.fixed = ops, backward, fixed
        self.unchanging: dict[Any, Any] | None = {} if fixed else None
        self.layers: dict[int, tuple[Any, Any, str]] = {}  # by id of a module: it, the outermost one, its path
        self.arrays: dict[int, _Made] = {}  # by id
        self.kernels: dict[type, Any] = {}
        self.before: dict[tuple[int, str, str], Any] = {}  # (batch, layer, operation) -> (timestep, its input then)
        self.forward = context.forwards
        self.batches = ops.batches
        self.seen: set[tuple[int, int | None]] = set()  # id of a whole network, timestep: in this batch
        self.plans: dict[int, Plan] = {}  # of calls that come again in each batch, by their place in it
        self.place = 0  # of the next call

    def __call__(self, function: Function, inputs: tuple, outputs: tuple) -> None:
        if context.forwards != self.forward or not self._again(function, inputs, outputs):
            self._first(function, inputs, outputs)
        self.place += 1

    def _again(self, function: Function, inputs: tuple, outputs: tuple) -> bool:
        """Count a call that is that of the last batch at this place; False if it is another."""
        plan = self.plans.get(self.place)
        if plan is None or not plan.holds(function, inputs, outputs):
            return False
        for x, of in zip(inputs, plan.known, strict=True):
            if of is not None:
                made = self.arrays.get(id(x))
                if made is None or made.repeated is not None or made[1:] != of[1:] or made.array() is not x:
                    return False
        context.counting = self.kernels
        try:
            found = plan.find(inputs, outputs)
        finally:
            context.counting = None
        for y, made in zip(outputs, plan.made, strict=True):
            self.arrays[id(y)] = _Made(_weak(y), made.outside, made.layout, made.averaged, None)
        self.ops.calls.append(Call(plan.layer, plan.name, Again(plan, found), None, self.ops.batches - 1, False))
        return True

    def _first(self, function: Function, inputs: tuple, outputs: tuple) -> None:
        given = [(x, self._known(x)) for x in inputs if x is not None]
        first_outside = bool(inputs) and inputs[0] is not None and _outside(given[0][1])
        self._next_batch(first_outside)
        source, layout = self._source(given)
        layer = self._layer(function)
        looks = Looks((*inputs, *outputs)) if self.fixed and function.looks and not self.backward else None
        origin = self._origin(layer, function, given, first_outside)
        cost = self._ask(function, inputs, outputs, layout, origin, looks)
        if first_outside:
            cost.facts = tuple(replace(facts, outside=True) for facts in cost.facts)
        if layout is None and (lead := cost.blocks[0][0]):
            layout = Layout(0, 1) if len(lead) == 2 else Layout(None, 0)
        outside = averaged = False
        computes = isinstance(cost, Later) and cost.computes  # then it need not be asked for its facts yet
        if not context.stated and not computes and not any(facts.kind in COMPUTING for facts in cost.facts):
            names = {name for _, columns in cost.blocks for name in columns if name[:5] != "back_"}
            outside = all(_outside(known) for _, known in given) and names <= SCALING
            of_means = [(x, known is not None and known.averaged) for x, known in given]
            averaged = averages(names, {facts.kind for facts in cost.facts}, of_means)
        made: list[_Made] = []
        for y in outputs:
            same = y.ndim >= outputs[0].ndim  # the membranes that a neuron leaves have no time
            follows = after(function, source, y, layout) if layout is not None and same else None
            made.append(_Made(_weak(y), outside, follows, averaged, cost.repeated))
            self.arrays[id(y)] = made[-1]
        foreign = not _of_the_engine(type(function))
        self.ops.calls.append(Call(layer, function.name, cost, context.timestep, self.ops.batches - 1, foreign))
        self.plans.pop(self.place, None)
        if looks is not None and not looks.lost and not foreign and not getattr(function, "training", False):
            self._plan(function, inputs, outputs, looks, layer, layout, made, origin)

    def _plan(
        self,
        function: Function,
        inputs: tuple,
        outputs: tuple,
        looks: Looks,
        layer: str,
        layout: Layout | None,
        made: list[_Made],
        origin: Origin,
    ) -> None:
        """Keep what may come again in the next batch: a call of [T, N, ...] inside, whose arrays are all known."""
        samples = self.ops.told.get(self.ops.batches - 1)
        if layout != Layout(0, 1) or not samples or context.stated or context.timestep is not None:
            return
        known = [None if x is None else self._known(x) for x in inputs]
        if origin.outside or not context.scope or not inputs or known[0] is None:
            return
        for x, of in zip(inputs, known, strict=True):
            if of is None and x is not None and samples in x.shape[:2]:
                return  # no weight, as far as can be told
        if any(of.layout != layout or of.outside or of.repeated is not None for of in [*filter(None, known), *made]):
            return
        state: dict[str, Any] = {"samples": samples, "timesteps": self.ops.timesteps, "leading": 2, "origin": origin}
        state |= {"counting": self.kernels, "unchanging": self.unchanging, "trusted": True}
        before = [None if of is None else of._replace(array=None) for of in known]
        self.plans[self.place] = Plan(function, inputs, outputs, looks.looks, layer, before, made, state)

    def _layer(self, function: Function) -> str:
        """Path of the module that made the call, or its name; looked up once where the network stays as it is."""
        if not context.scope:
            return function.name
        root, module = context.scope[0], context.scope[-1]
        known = self.layers.get(id(module))
        if known is None or known[0] is not module or known[1] is not root:
            known = module, root, current_path() or type(root).__name__
            self.layers[id(module)] = known
        return known[2]

    def _next_batch(self, outside: bool) -> None:
        """Begin another batch where a network that already ran at this timestep runs again on input from outside."""
        if context.forwards == self.forward or not context.scope:
            return
        if not self.fixed:
            self.layers.clear()
        self.forward = context.forwards
        run = id(context.scope[0]), context.timestep
        self._forget()
        if run in self.seen and outside and self.ops.told.get(self.ops.batches - 1) is not None:
            self.ops.next_batch()
            self._forget()
        self.seen.add(run)

    def _forget(self) -> None:
        """Keep nothing of earlier batches but arrays that are still there."""
        if self.ops.batches != self.batches:
            self.batches = self.ops.batches
            self.seen.clear()
            self.before.clear()
            self.place = 0
            self.arrays = {key: made for key, made in self.arrays.items() if made.array() is not None}

    def _source(self, given: list[tuple[Array, _Made | None]]) -> tuple[Array | None, Layout | None]:
        """The input whose layout is that of the call: of those that are known, the one with the most axes."""
        if context.timestep is not None or self.ops.told.get(self.ops.batches - 1) is None:
            return (given[0][0] if given else None), None
        most: Any = given[0][0] if given else None
        layout: Layout | None = None
        for x, made in given:
            if made is not None and made.layout is not None and (layout is None or x.ndim > most.ndim):
                most, layout = x, made.layout
        return most, layout

    def _origin(self, layer: str, function: Function, given: list[tuple[Array, _Made | None]], outside: bool) -> Origin:
        """What is known of the first input; in a loop over time also what this layer got before, if from outside."""
        if not given:
            return UNKNOWN
        x, made = given[0]
        before = None
        if outside and context.timestep is not None:
            key = self.ops.batches - 1, layer, function.name
            step, last = self.before.get(key, (None, None))
            before = last if step == context.timestep - 1 else None
            self.before[key] = context.timestep, x.copy()  # a buffer may be filled anew
        return Origin(outside, made is not None and made.averaged, made.repeated if made else None, before)

    def _ask(
        self,
        function: Function,
        inputs: tuple,
        outputs: tuple,
        layout: Layout | None,
        origin: Origin,
        looks: Looks | None,
    ) -> OpCount:
        if context.stated:
            return OpCount()
        before = exchange(
            {
                "counting": self.kernels,
                "unchanging": self.unchanging,
                "trusted": _of_the_engine(type(function)),
                "samples": self.ops.told.get(self.ops.batches - 1),
                "timesteps": self.ops.timesteps,
                "leading": None if layout is None else layout.leading,
                "origin": origin,
                "looking": looks,
            }
        )
        try:
            cost = self._checked(function, "cost", inputs, outputs)
            repeated = cost.repeated
            if self.backward and any(function.needs):
                cost = cost + self._checked(function, "cost_backward", inputs, outputs)
                cost.repeated = repeated
        finally:
            exchange(before)
        return cost

    @staticmethod
    def _checked(function: Function, method: str, inputs: tuple, outputs: tuple) -> OpCount:
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

    def _known(self, x: Array) -> _Made | None:
        made = self.arrays.get(id(x))
        return made if made is not None and made.array() is x else None


def _outside(made: _Made | None) -> bool:
    return made is None or made.outside


@functools.lru_cache(maxsize=256)
def _of_the_engine(kind: type[Function]) -> bool:
    return kind.__module__.startswith("snncore.")


def _weak(y: Array) -> Any:
    try:
        return weakref.ref(y)
    except TypeError:  # an array type that takes no weak references
        return lambda: y


@contextmanager
def count_ops(
    backward: bool = False,
    samples: int | None = None,
    timesteps: int | None = None,
    details: bool = True,
    fixed: bool = False,
) -> Iterator[Ops]:
    """Count every operation that runs on tensors inside the block, exactly, from the spikes that really occur.

        with count_ops(samples=32) as ops:
            model(x)  # x [T, 32, ...]
        ops.totals()["ac_binary"], ops.by_sample("ac_binary")

    backward: count, with each call that a gradient is wanted of, what its backward will do.
    samples: how many each forward sees; `ops.samples` is then known, and every array is resolved by sample whose first
    or second axis is that long. A network (the outermost module) that runs again on input from outside sees other
    samples, as many: it begins another batch, as `ops.next_batch(samples=)` does by hand. A network that is called
    once for each timestep says so by `at_timestep`.
    timesteps: how many there are; 0 for a network without time. It is needed only where a sample has as many tokens,
    or rows, as there are samples, so that [N, L, C] and [T, N, C] look alike.
    details: False keeps less of many batches (`Ops`). fixed: say that no weight and no module changes inside the block,
    as in an evaluation: what follows from them alone is then found once, and not at every call.
    The counts depend neither on the kernels, nor on how the samples are cut into batches, nor on the device; nothing
    is counted, and no time is spent, outside the block.
    Raises CostError, naming it, if an operation runs that states no cost; ValueError if a number is negative.
    """
    for name, value in (("samples", samples), ("timesteps", timesteps)):
        if value is not None:
            as_count(name, value)
    ops = Ops(samples, timesteps, details)
    try:
        with observe(_Recorder(ops, backward, fixed), currents=False):
            yield ops
    finally:
        if any(isinstance(call.cost, Again) for call in ops.calls):
            ops.fold()  # weights may change from here on, and what follows from them is not worked out yet
