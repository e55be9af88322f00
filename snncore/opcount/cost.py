"""What a Function states about one call: an OpCount, resolved by timestep and sample where the layout tells."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncore.context import context
from snncore.opcount.columns import COLUMNS, as_expected
from snncore.opcount.layout import lead_of

__all__ = [
    "KINDS",
    "WEIGHTED",
    "CostError",
    "Facts",
    "Later",
    "OpCount",
    "UnresolvedWarning",
    "Value",
    "exact_sum",
    "later",
    "lead_of",
    "look",
    "times",
]

Value = int | np.ndarray
"""A count for each cell [T, N]: one number for all of them, or int64 that broadcasts to it."""

WHOLE = (int, np.integer)
LIMIT = 2**62
SMALL = 256  # entries that are faster to add up as Python integers, which also cannot overflow


class CostError(RuntimeError):
    """An operation that states no cost, a cost that is not valid, or a question that the counts cannot answer."""


class UnresolvedWarning(UserWarning):
    """Counts that belong to no timestep, or to no sample, and are therefore missing from what was returned."""


KINDS = ("conv", "linear", "matmul", "batch_norm", "neuron", "pool", "residual", "reduction")
"""The kinds of call that counting rules tell apart."""

WEIGHTED = ("conv", "linear", "matmul")
"""Those that apply weights."""


@dataclass(frozen=True)
class Facts:
    """What the counting rules of others ask of one call, beyond exact counts.

    kind: one of KINDS; a rule says that it cannot read another. layer: name of the function.
    in_size, out_size: entries of input and output. cells: timesteps x samples, 1 if the call is one piece.
    spikes: the input has an integer type. events: entries of it that are not zero; of a neuron, its spikes; of a
    residual (an addition of spikes), those of both inputs. largest: of an input of an integer type, its largest entry,
    at least 1; 0 if that is not stated.
    value_sum: sum of the input. value_taps: the same, each entry times the outputs that it reaches.
    unit: all input is 0 or 1, whatever its type; signed_unit: -1, 0 or 1. negative: some of it is below 0.
    kernel, stride: of a convolution or of pooling, one number for each axis of pixels. channels: of input and output.
    groups: parts of the channels that do not see each other. weights, bias: entries of them.
    leak, hard: a neuron leaks, its reset is a hard one. rest: entries of a neuron that start from a membrane of 0.
    outside: the input came from outside, through operations that only move, add and scale.
    repeated: cells whose input is that of the timestep before. effective: accumulations and multiply-accumulates where
    neither the input nor the weight is zero, None if that was not stated; effective_unit: those of them in timesteps
    whose whole input is -1, 0 or 1.
    calls: how many calls these facts are of, whose sizes, cells, events and sums are added up; more than one where
    batches were folded together (`snncore.opcount.fold.ADDED`).
    """

    kind: str
    layer: str
    in_size: int
    out_size: int
    cells: int = 1
    spikes: bool = False
    events: int = 0
    largest: int = 0
    value_sum: float = 0.0
    value_taps: float = 0.0
    unit: bool = False
    signed_unit: bool = False
    negative: bool = False
    kernel: tuple[int, ...] = (1, 1)
    stride: tuple[int, ...] = (1, 1)
    channels: tuple[int, int] = (0, 0)
    groups: int = 1
    weights: int = 0
    bias: int = 0
    leak: bool = False
    hard: bool = False
    rest: int = 0
    outside: bool = False
    repeated: int = 0
    effective: int | None = None
    effective_unit: int = 0
    calls: int = 1


class OpCount:
    """Exact counts of one call, by column.

    lead: () for a call that is one piece; (T, N), from `lead_of`, for one whose counts are given for each timestep
    and sample; (N,) for one without time, or inside `snncore.opcount.at_timestep`. Each column: an integer, which
    holds for every cell of `lead`, or an integer array that broadcasts to it. once: counts of the call as a whole.
    facts: for the rules of others; an operation of your own may leave them out. repeated: set it to tell the counting
    in which cells the output is that of the timestep before.
    Raises CostError for a column that does not exist, a count that is negative or not an integer, or another shape.
    """

    def __init__(
        self,
        lead: tuple[int, ...] = (),
        once: Mapping[str, int] | None = None,
        facts: tuple[Facts, ...] = (),
        **columns: Value,
    ) -> None:
        self.blocks: list[tuple[tuple[int, ...], dict[str, Value]]] = [(lead, _checked(lead, columns))]
        if once:
            self.blocks.append(((), _checked((), dict(once))))
        self.facts = facts
        self.repeated: np.ndarray | None = None

    def __add__(self, other: "OpCount") -> "OpCount":
        if isinstance(other, Later):
            return Later((lambda: self, *other.states), other.computes)
        both = OpCount(facts=self.facts + other.facts)
        both.blocks = self.blocks + other.blocks
        return both

    def totals(self) -> dict[str, int]:
        """Sum of every column over timesteps and samples, Python integers; columns that are zero are absent."""
        sums: dict[str, int] = {}
        for lead, columns in self.blocks:
            for name, value in columns.items():
                if total := exact_sum(value, lead):
                    sums[name] = sums.get(name, 0) + total
        return sums


class Later(OpCount):
    """The cost of a call whose arrays were counted, with columns and facts that are worked out when they are asked for.

    states: give the costs that it is the sum of. computes: they will say of the call that it does more than move, add
    and scale entries.
    """

    def __init__(self, states: tuple[Callable[[], OpCount], ...], computes: bool) -> None:
        self.states, self.computes = states, computes
        self.repeated = None

    def __getattr__(self, name: str) -> Any:  # asked for blocks or facts, and they are not there yet
        if name not in ("blocks", "facts"):
            raise AttributeError(name)
        trusted, context.trusted = context.trusted, True
        try:
            costs = [state() for state in self.states]
        finally:
            context.trusted = trusted
        vars(self).setdefault("blocks", [block for cost in costs for block in cost.blocks])
        vars(self).setdefault("facts", tuple(facts for cost in costs for facts in cost.facts))
        self.states = (lambda: self,)  # what they held may go
        return vars(self)[name]

    def __reduce__(self) -> Any:
        """Travel to another process worked out: what works it out cannot."""
        return _worked_out, (self.blocks, self.facts, self.repeated)

    def __add__(self, other: OpCount) -> OpCount:
        if isinstance(other, Later):
            return Later((*self.states, *other.states), self.computes or other.computes)
        return Later((*self.states, lambda: other), self.computes)


def _worked_out(blocks: list[Any], facts: tuple[Facts, ...], repeated: np.ndarray | None) -> OpCount:
    cost = OpCount(facts=facts)
    cost.blocks, cost.repeated = blocks, repeated
    return cost


def later(state: Callable[..., OpCount], *known: Any, computes: bool = True) -> OpCount:
    """Return `state(*known)`, worked out when it is asked for; of an operation that is not the engine's own, now.

    Only counting needs the arrays, and is done at the call. The arithmetic after it waits for the end of the batch,
    when that of all calls is done in one go. It takes three times as long between the layers of a network, each of
    which fills the caches of the processor anew.
    known: counts, forms of arrays (`form_of`) and settings, but no array that the network made: it would be kept.
    """
    return Later((functools.partial(state, *known),), computes) if context.trusted else state(*known)


def look(find: Callable[..., Any] | None, arrays: tuple[Any, ...], *args: Any) -> Any:
    """Return find(*arrays, *args): a count of entries of arrays that a call takes or makes.

    All that a cost reads of spikes it reads here, so that the counting can find it without asking for the cost again.
    find: None for a cost that reads its arrays in another way.
    """
    watch = context.looking
    if watch is not None:
        return watch(find, arrays, args)
    return None if find is None else find(*arrays, *args)


def _checked(lead: tuple[int, ...], columns: dict[str, Any]) -> dict[str, Value]:
    if context.trusted:
        return {name: value for name, value in columns.items() if type(value) is not int or value}
    good: dict[str, Value] = {}
    for name, value in columns.items():
        if name not in COLUMNS:
            raise CostError(as_expected(name))
        if isinstance(value, WHOLE):
            if value < 0:
                raise CostError(f"column {name}: expected a count of at least 0, found {value}")
            if value:
                good[name] = int(value)
            continue
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuO":
            raise CostError(f"column {name}: expected integers, found {type(value).__name__} {value!r:.60}")
        if value.shape != lead and not _fits(value.shape, lead):
            raise CostError(f"column {name}: expected counts that broadcast to {lead}, found {value.shape}")
        if value.size and (least := _least(value)) < 0:
            raise CostError(f"column {name}: expected counts of at least 0, found {least}")
        good[name] = value
    return good


def _fits(shape: tuple[int, ...], lead: tuple[int, ...]) -> bool:
    return len(shape) == len(lead) and all(a in (1, b) for a, b in zip(shape, lead, strict=True))


def exact_sum(value: Value, lead: tuple[int, ...]) -> int:
    """Sum of `value` broadcast to `lead`, as a Python integer that cannot overflow."""
    cells = math.prod(lead)
    if isinstance(value, int):
        return value * cells
    if value.size == 0:
        return 0
    safe = value.size > SMALL and value.dtype.kind != "O" and int(value.max()) < LIMIT // value.size
    total = int(value.sum(dtype=np.int64)) if safe else sum(value.ravel().tolist())
    return total * (cells // value.size)


def _least(value: np.ndarray) -> int:
    return int(value.min()) if value.size > SMALL else min(value.ravel().tolist())


def times(value: Value, factor: int, most: int | None = None) -> Value:
    """value * factor, as Python integers where int64 could overflow. most: what no entry is above, if that is known."""
    if isinstance(value, int) or not value.size or (most is not None and most * factor < LIMIT):
        return value * factor
    most = int(value.max()) if value.size > SMALL else max(value.ravel().tolist())
    return value.astype(object) * factor if most * factor >= LIMIT else value * factor
