"""The same call in many batches: events are counted in each, and what follows from them is stated for all at once.

The first batch asks an operation for its cost, and notes in which arrays it counted what (`look`). Of the same call in
a later batch only these counts are found. Its columns are worked out by asking for the cost of a call that has the
samples of several batches, with an `Unwritten` for each array of a batch: counts do not depend on how samples are cut
into batches.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from snncore.context import context, exchange
from snncore.firing import Firing
from snncore.opcount.cost import Later, OpCount
from snncore.opcount.layout import Layout
from snncore.tape import Function, Unwritten

__all__ = ["Again", "Look", "Plan", "together"]

SETTINGS = (int, float, str, bool, tuple, np.dtype, Firing, type(None))
"""Types of what an operation may be told that changes its cost. Arrays are none: the promise is that weights stay."""

OF_A_CALL = ("saved", "needs", "homes", "modules")


class Look(NamedTuple):
    """Counting in arrays of a call: find(*arrays, *args). places: of the arrays among its inputs and outputs."""

    find: Callable[..., np.ndarray]
    places: tuple[int, ...]
    args: tuple


class Looks:
    """Notes the looks of a call that is asked for its cost. lost: one was at something that no later call has."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.arrays, self.looks, self.lost = arrays, list[Look](), False

    def __call__(self, find: Callable[..., Any] | None, arrays: tuple, args: tuple) -> Any:
        places = tuple(next((i for i, y in enumerate(self.arrays) if y is x), -1) for x in arrays)
        if find is None or -1 in places:
            self.lost = True
        else:
            self.looks.append(Look(find, places, args))
        return None if find is None else find(*arrays, *args)


class Plan:
    """A call that comes again in each batch: how it is known, and all of its cost that is no count.

    layer: path of its module. looks: what it counts. made: what the recorder knows of its outputs, for each. known:
    what it knows of its inputs, None for an array that is the same in each batch, such as weights. state: fields of the
    context in which its cost was asked for.
    """

    def __init__(
        self,
        function: Function,
        inputs: tuple,
        outputs: tuple,
        looks: list[Look],
        layer: str,
        known: list[Any],
        made: list[Any],
        state: dict[str, Any],
    ) -> None:
        self.kind, self.name, self.layer, self.looks = type(function), function.name, layer, looks
        self.module, self.root = context.scope[-1], context.scope[0]
        self.function = copy.copy(function)
        self.function.saved = ()  # it held arrays of the batch
        self.settings = [(k, x) for k, x in vars(self.function).items() if type(x) in SETTINGS and k not in OF_A_CALL]
        self.known, self.made = known, made
        self.fixed = [x if x is None or of is None else None for x, of in zip(inputs, known, strict=True)]
        self.inputs = [(x.shape, x.dtype) if x is not None else None for x in inputs]
        self.moving = [form if of is not None else None for form, of in zip(self.inputs, known, strict=True)]
        self.outputs = [(y.shape, y.dtype) for y in outputs]
        arrays = inputs + outputs
        self.twins = [(i, j) for j in range(len(arrays)) for i in range(j) if arrays[i] is arrays[j] is not None]
        self.layouts: list[Layout | None] = [of and of.layout for of in known] + [of.layout for of in made]
        self.context = state

    def holds(self, function: Function, inputs: tuple, outputs: tuple) -> bool:
        """Whether a call is this one again, as far as it alone tells: module, operation, settings, shapes, weights."""
        scope = context.scope
        if type(function) is not self.kind or not scope or scope[-1] is not self.module or scope[0] is not self.root:
            return False
        if context.timestep is not None or context.stated or context.grad_enabled:
            return False
        if len(inputs) != len(self.inputs) or len(outputs) != len(self.outputs):
            return False
        # each has the form that it must have, or is the array that it must be
        for x, form, same in zip(inputs, self.moving, self.fixed, strict=True):
            if (x is not same) if form is None else (x is None or x.shape != form[0] or x.dtype != form[1]):
                return False
        for y, (shape, dtype) in zip(outputs, self.outputs, strict=True):
            if y.shape != shape or y.dtype != dtype:
                return False
        if self.twins:  # an array was given twice, and may have been counted in place of the other
            arrays = inputs + outputs
            if any(arrays[i] is not arrays[j] for i, j in self.twins):
                return False
        values = vars(function)
        for key, x in self.settings:
            y = values.get(key, self)
            if y is not x and y != x:
                return False
        return True

    def find(self, inputs: tuple, outputs: tuple) -> list[np.ndarray]:
        """Count in the arrays of a call."""
        arrays = inputs + outputs
        return [look.find(*[arrays[i] for i in look.places], *look.args) for look in self.looks]

    def state(self, found: Sequence[list[np.ndarray]]) -> OpCount:
        """Cost of the calls of several batches, as of one with all their samples. found: of each, from `find`."""
        steps, batches = self.outputs[0][0][0], len(found)
        one = iter([_joined(arrays, steps) for arrays in zip(*found, strict=True)])
        arrays = [
            x if layout is None else _scaled(form, layout, batches)
            for x, form, layout in zip(
                [*self.fixed, *self.outputs], [*self.inputs, *self.outputs], self.layouts, strict=True
            )
        ]
        n = self.context["samples"] * batches
        before = exchange(self.context | {"samples": n, "looking": lambda find, arrays, args: next(one)})
        try:
            inputs, outputs = tuple(arrays[: len(self.inputs)]), tuple(arrays[len(self.inputs) :])
            cost = self.function.cost(inputs, outputs)
            cost.blocks  # noqa: B018  the columns of a `Later`, worked out while the context is that of the call
            return cost
        finally:
            exchange(before)


class Again(Later):
    """The cost of a call of a plan in one batch. found: what was counted."""

    def __init__(self, plan: Plan, found: list[np.ndarray]) -> None:
        self.plan, self.found = plan, found
        self.computes, self.repeated = True, None

    @property
    def states(self) -> tuple[Callable[[], OpCount], ...]:
        """What works it out."""
        return (lambda: self.plan.state([self.found]),)

    @states.setter
    def states(self, done: Any) -> None:
        """Once it is worked out, what was counted may still be asked for together with other batches."""


def together(costs: Sequence[OpCount]) -> OpCount | None:
    """Cost of calls of several batches, as of one call; None where they are not one plan, or rules tell them apart."""
    first = costs[0]
    if not isinstance(first, Again) or any(
        not isinstance(cost, Again) or cost.plan is not first.plan for cost in costs
    ):
        return None
    found = [cost.found for cost in costs]  # type: ignore[attr-defined]
    steps = first.plan.outputs[0][0][0]
    if not all(_alike(arrays, steps) for arrays in zip(*found, strict=True)):
        return None
    return first.plan.state(found)


def _alike(arrays: Sequence[np.ndarray], steps: int) -> bool:
    """Whether counts of several batches have the same largest event, and graded ones at the same timesteps.

    arrays: int64 [.., 4, cells] of events; [3, cells] of pairs, of which the last row is events above 1; [cells].
    """
    if arrays[0].ndim == 1:
        return True
    rows = arrays[0].shape[-2]
    graded = [x[..., 1 if rows == 4 else 2, :].reshape(*x.shape[:-2], steps, -1).any(axis=-1) for x in arrays]
    if rows != 4:
        return len({bool(each.any()) for each in graded}) == 1
    if not any(each.any() for each in graded):
        return True
    largest = {int(x[..., 3, :].max()) for x in arrays}
    return len(largest) == 1 and all((each == graded[0]).all() for each in graded)


def _joined(arrays: Sequence[np.ndarray], steps: int) -> np.ndarray:
    """Counts of several batches [.., T N] as those of one, the samples of a batch after those of the batch before."""
    if len(arrays) == 1:
        return arrays[0]
    lead = arrays[0].shape[:-1]
    return np.concatenate([x.reshape(*lead, steps, -1) for x in arrays], axis=-1).reshape(*lead, -1)


def _scaled(form: Any, layout: Layout, batches: int) -> Unwritten:
    shape, dtype = form
    at = layout.samples
    assert at is not None
    return Unwritten((*shape[:at], shape[at] * batches, *shape[at + 1 :]), dtype)
