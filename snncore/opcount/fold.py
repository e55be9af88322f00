"""Batches of one network, folded together: sums and compact tables in place of every call of every batch.

Calls at the same place of two batches fold where they are of the same layer, operation and timestep and state the same
columns over the same axes. Their samples stand side by side, as if they had been one batch.
"""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from snncore.opcount.columns import COLUMNS
from snncore.opcount.cost import CostError, Facts, OpCount

__all__ = ["Call", "Fold", "Folded", "Part"]

ADDED = frozenset(
    ("calls", "in_size", "out_size", "cells", "events", "value_sum", "value_taps")
    + ("rest", "repeated", "effective", "effective_unit")
)
"""Fields of Facts that add up over calls. Calls that differ in any other field are kept apart, for rules tell them."""

NAMES = tuple(field.name for field in fields(Facts))
SUMS = tuple(name for name in NAMES if name in ADDED)
sums_of: Any = operator.attrgetter(*SUMS)
kept_apart: Any = operator.attrgetter(*(name for name in NAMES if name not in ADDED), "in_size", "out_size", "cells")

ALWAYS = frozenset(name for name, column in COLUMNS.items() if column.group == "memory")
"""Columns that are kept by layer and sample even without details: the memories of layers differ in their price."""

LIMIT = 2**62
MANY = 64
SAFE = 2**40  # thousands of counts below it add up in 64 bits


@dataclass(frozen=True)
class Call:
    """One call that was counted, or the same call in several batches.

    layer: path of the module that made it, such as stages.0.unimodal.a.conv; the name of the operation if none did.
    function: name of the operation. cost: its counts. step: the timestep it belongs to, if it was one of a loop.
    batch: which part of the data it saw, the first of them if several. foreign: the operation is not one of the
    engine's own. times: how many calls it stands for, whose counts and facts are added up.
    """

    layer: str
    function: str
    cost: OpCount
    step: int | None
    batch: int
    foreign: bool = False
    times: int = 1


class Part(NamedTuple):
    """Counts of one column of one call. start: timestep of the first row, None if they belong to none.

    counts: integers [T, N], with one row if they belong to no timestep or were summed over time, one column if they
    belong to no sample or were summed over samples.
    """

    batch: int
    start: int | None
    sampled: bool
    counts: np.ndarray


class _Slot(NamedTuple):
    """A column of a block. once: its counts are of calls as a whole. value: the same in every sample, one number or one
    for each timestep; None if samples differ, then it has `rows` rows of the table from `start` on.
    """

    column: str
    axes: int
    rows: int
    once: bool
    value: int | tuple[int, ...] | None
    start: int


class _Place(NamedTuple):
    """What calls at the same place of several batches have in common. leads: axes and rows of each block."""

    layer: str
    function: str
    step: int | None
    foreign: bool
    leads: tuple[tuple[int, int], ...]
    slots: tuple[_Slot, ...]


class _Group:
    """Calls at one place whose facts differ in nothing but what adds up."""

    def __init__(self, facts: tuple[Facts, ...], sums: dict[str, int]) -> None:
        self.times, self.sums = 1, sums
        self.facts, self.added = facts, [sums_of(each) for each in facts]

    def add(self, other: "_Group") -> None:
        self.times += other.times
        for name, value in other.sums.items():
            self.sums[name] = self.sums.get(name, 0) + value
        pairs = zip(self.added, other.added, strict=True)
        self.added = [tuple(None if a is None else a + b for a, b in zip(*pair, strict=True)) for pair in pairs]

    def copy(self) -> "_Group":
        new = _Group(self.facts, dict(self.sums))
        new.times, new.added = self.times, list(self.added)
        return new

    def total_facts(self) -> tuple[Facts, ...]:
        pairs = zip(self.facts, self.added, strict=True)
        return tuple(Facts(**(vars(facts) | dict(zip(SUMS, added, strict=True)))) for facts, added in pairs)


class Folded(OpCount):
    """The cost of the calls of one group. first: the one of its place that answers for all samples."""

    def __init__(self, fold: "Fold", place: int, group: _Group, first: bool) -> None:
        self.fold, self.place, self.group, self.first = fold, place, group, first
        self.facts = group.total_facts()

    def totals(self) -> dict[str, int]:
        """Sum of every column over the calls of the group; columns that are zero are absent."""
        return {name: value for name, value in self.group.sums.items() if value}

    @property
    def blocks(self) -> Any:  # type: ignore[override]
        """Counts of several batches are asked of `Ops`. Raises CostError."""
        raise CostError("blocks: these are counts of batches that were folded together; ask Ops.table and the like")


class Fold:
    """Batches that ran the same calls, `samples` samples in all.

    details: keep each column by layer, timestep and sample. Else by layer and timestep, and by sample of all layers
    together; by layer and sample only the columns in ALWAYS.
    """

    def __init__(self, places: tuple[_Place, ...], groups: list[dict[Any, _Group]], table: np.ndarray, details: bool):
        self.places, self.groups, self.details = places, groups, details
        self.samples = table.shape[1]
        self.steps = table.sum(axis=1).astype(object)  # [rows], over samples
        rows = [slot for place in places for slot in place.slots if not slot.once and slot.value is None]
        self.kept = {} if details else _summed(rows, table)  # by column, or column and first row: arrays [N of a batch]
        self.tables = [table.astype(np.min_scalar_type(table.max(initial=0)))] if details else []  # of each batch

    @staticmethod
    def of(calls: Sequence[Call], samples: int | None, details: bool) -> "Fold | None":
        """Fold one batch; None if the calls do not all belong to as many samples, or count beyond 64 bits."""
        if samples is None:
            return None
        places, arrays, start = [], list[np.ndarray](), 0
        for call in calls:
            slots: list[_Slot] = []
            for lead, columns in call.cost.blocks:
                if lead and lead[-1] != samples:
                    return None
                axes, rows = len(lead), lead[0] if len(lead) == 2 else 1
                for name, value in columns.items():
                    if not lead:
                        slots.append(_Slot(name, 0, 1, True, None, 0))
                    elif isinstance(value, int):
                        slots.append(_Slot(name, axes, rows, False, value, 0))
                    elif value.shape[-1] == 1 < samples:
                        slots.append(_Slot(name, axes, rows, False, tuple(value.ravel().tolist()), 0))
                    else:
                        if value.dtype != np.int64:
                            if value.dtype.kind == "O" or int(value.max(initial=0)) >= LIMIT:
                                return None
                            value = value.astype(np.int64)
                        slots.append(_Slot(name, axes, rows, False, None, start))
                        value = value if value.shape == lead else np.broadcast_to(value, lead)
                        arrays.append(value.reshape(rows, samples))
                        start += rows
            leads = tuple((len(lead), lead[0] if len(lead) == 2 else 1) for lead, _ in call.cost.blocks)
            places.append(_Place(call.layer, call.function, call.step, call.foreign, leads, tuple(slots)))
        table = np.concatenate(arrays) if arrays else np.zeros((0, samples), np.int64)
        if int(table.max(initial=0)) * table.size >= LIMIT:
            return None
        sums = np.concatenate([[0], np.cumsum(table.sum(axis=1))]).tolist()  # of all rows before each
        groups = []
        for call, place in zip(calls, places, strict=True):
            facts = call.cost.facts
            key = tuple(kept_apart(each) for each in facts)
            groups.append({key: _Group(facts, _sums_of_call(call, place, samples, sums))})
        return Fold(tuple(places), groups, table, details)

    def copy(self) -> "Fold":
        """Return a fold that goes on by itself."""
        new: Fold = object.__new__(Fold)
        vars(new).update(vars(self))
        new.groups = [{key: group.copy() for key, group in of.items()} for of in self.groups]
        new.kept = {key: list(arrays) for key, arrays in self.kept.items()}
        new.tables = list(self.tables)
        return new

    def add(self, other: "Fold") -> bool:
        """Put the samples of another fold after those of this one; False if it ran other calls."""
        if self.places != other.places or self.details != other.details:
            return False
        self.samples += other.samples
        self.steps = self.steps + other.steps
        for mine, theirs in zip(self.groups, other.groups, strict=True):
            for key, group in theirs.items():
                if key in mine:
                    mine[key].add(group)
                else:
                    mine[key] = group.copy()
        for name, arrays in other.kept.items():
            self.kept[name] = _joined(self.kept[name] + arrays)
        self.tables = _joined(self.tables + other.tables)
        return True

    def calls(self, batch: int) -> list[Call]:
        """The calls of all batches in the order of execution, those that rules tell apart one after the other."""
        found = []
        for i, (place, groups) in enumerate(zip(self.places, self.groups, strict=True)):
            for k, group in enumerate(groups.values()):
                cost = Folded(self, i, group, first=k == 0)
                found.append(Call(place.layer, place.function, cost, place.step, batch, place.foreign, group.times))
        return found

    def parts(self, place: int, column: str, by: str, timesteps: int | None, batch: int) -> Iterator[Part]:
        """Counts of all calls at a place: by "timestep" (summed over samples), "sample" (over time), or "both".

        "network": as "sample", without what `by_sample` has of all layers. Raises CostError where nothing was kept.
        """
        at = self.places[place]
        for axes, rows in at.leads:
            start = at.step
            if axes == 2 and start is None and not (rows == 1 and timesteps not in (None, 1)):
                start = 0
            shape = {"timestep": (rows, 1), "both": (rows, self.samples)}.get(by, (1, self.samples))
            yield Part(batch, start, axes > 0, np.broadcast_to(np.int64(0), shape if axes else (1, 1)))
        slots = [slot for slot in at.slots if slot.column == column]
        if any(slot.once for slot in slots):
            total = sum(group.sums.get(column, 0) for group in self.groups[place].values())
            total -= sum(int(self._counts(slot, "timestep").sum()) for slot in slots if not slot.once)
            yield Part(batch, at.step, False, np.array([[total]], object))
        for slot in slots:
            if slot.once or (by == "network" and slot.value is None and not self.details):
                continue
            start = at.step
            if slot.axes == 2 and start is None and not (slot.rows == 1 and timesteps not in (None, 1)):
                start = 0
            yield Part(batch, start, True, self._counts(slot, by))

    def by_sample(self, column: str) -> np.ndarray:
        """What samples differ in, of all layers: [N]; zeros if nothing."""
        found = self.kept.get(column)
        return np.concatenate(found) if found else np.zeros(self.samples, np.int64)

    def size(self) -> int:
        """Bytes of what grows with the samples."""
        return sum(a.nbytes for arrays in (self.tables, *self.kept.values()) for a in arrays)

    def _counts(self, slot: _Slot, by: str) -> np.ndarray:
        if slot.value is not None:
            steps = np.broadcast_to(np.asarray(slot.value, object), slot.rows)[:, None]  # [T, 1]
            if by == "timestep":
                return steps * self.samples
            counts = _roomy(steps if by == "both" else steps.sum(keepdims=True))
            return np.broadcast_to(counts, (len(counts), self.samples))
        rows = slice(slot.start, slot.start + slot.rows)
        if by == "timestep":
            return self.steps[rows, None]
        if self.details:
            counts = np.concatenate([table[rows] for table in self.tables], axis=1).astype(np.int64)
            return _roomy(counts if by == "both" else counts.sum(axis=0, keepdims=True))
        if by == "both" or (slot.column, slot.start) not in self.kept:
            raise CostError(
                f"{slot.column} by sample of a layer, or by timestep and sample: expected Ops(details=True), found "
                "details=False, which does not keep it"
            )
        return _roomy(np.concatenate(self.kept[slot.column, slot.start])[None].astype(np.int64))


def _sums_of_call(call: Call, place: _Place, samples: int, before: list[int]) -> dict[str, int]:
    """Total of each column. before: sum of all rows of the table before each."""
    sums: dict[str, int] = {}
    once = [int(value) for lead, columns in call.cost.blocks if not lead for value in columns.values()]
    for slot in place.slots:
        if slot.once:
            total = once.pop(0)
        elif slot.value is None:
            total = before[slot.start + slot.rows] - before[slot.start]
        elif isinstance(slot.value, int):
            total = slot.value * slot.rows * samples
        else:
            total = sum(slot.value) * (slot.rows // len(slot.value)) * samples
        sums[slot.column] = sums.get(slot.column, 0) + total
    return sums


def _summed(slots: list[_Slot], table: np.ndarray) -> dict[Any, list[np.ndarray]]:
    """Sums over time of the rows of a table [rows, N]: by column of all layers, and of each slot of some columns."""
    if not slots:
        return {}
    over_time = np.add.reduceat(table, [slot.start for slot in slots], axis=0)  # [slots, N]
    by_column: dict[str, list[int]] = {}
    for i, slot in enumerate(slots):
        by_column.setdefault(slot.column, []).append(i)
    kept: dict[Any, np.ndarray] = {name: over_time[rows].sum(axis=0) for name, rows in by_column.items()}
    kept |= {(slot.column, slot.start): over_time[i] for i, slot in enumerate(slots) if slot.column in ALWAYS}
    return {key: [row.astype(np.min_scalar_type(row.max(initial=0)))] for key, row in kept.items()}


def _roomy(counts: np.ndarray) -> np.ndarray:
    """Counts in a type in which thousands can be added up."""
    return counts.astype(np.int64 if int(counts.max(initial=0)) < SAFE else object)


def _joined(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The same samples in fewer arrays: a small array takes more memory than its entries do."""
    return [np.concatenate(arrays, axis=-1)] if len(arrays) > MANY else arrays
