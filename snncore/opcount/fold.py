"""Batches of one network, folded together: sums and compact tables in place of every call of every batch.

Calls at the same place of two batches fold where they are of the same layer, operation and timestep and state the same
columns over the same axes. Their samples stand side by side, as if they had been one batch.
"""

import itertools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from snncore.opcount.again import together
from snncore.opcount.columns import COLUMNS
from snncore.opcount.cost import CostError, Facts, OpCount
from snncore.opcount.place import LIMIT, Block, Place, each_step, fits, places_of

__all__ = ["ADDED", "Call", "Fold", "Folded", "Part"]

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

SAFE = 2**40  # thousands of counts below it add up in 64 bits
MANY = 64  # small arrays, before they are joined: each takes more memory than its entries do


@dataclass(frozen=True)
class Call:
    """One call that was counted, or the same call in several batches.

    layer: path of the module that made it, such as stages.0.unimodal.a.conv; the name of the operation if none did.
    function: name of the operation. cost: its counts. step: the timestep it belongs to, if it was one of a loop.
    batch: which part of the data it saw, the first of them if several. foreign: the operation is not one of the
    engine's own.
    """

    layer: str
    function: str
    cost: OpCount
    step: int | None
    batch: int
    foreign: bool = False

    @property
    def times(self) -> int:
        """How many calls it stands for, whose counts and facts are added up."""
        return self.cost.group.times if isinstance(self.cost, Folded) else 1


class Part(NamedTuple):
    """Counts of one column of one call. start: timestep of the first row, None if they belong to none.

    counts: integers [T, N], with one row if they belong to no timestep or were summed over time, one column if they
    belong to no sample or were summed over samples.
    """

    batch: int
    start: int | None
    sampled: bool
    counts: np.ndarray


class _Group:
    """Calls at one place whose facts differ in nothing but what adds up. once: counts of calls as a whole, summed.

    facts, once: of one call, or of as many as `times` says, all alike, as if they had been one. samples: of one of
    them.
    """

    def __init__(
        self, facts: tuple[Facts, ...], samples: int, rows: np.ndarray, once: list[int], times: int = 1
    ) -> None:
        self.times, self.samples, self.rows = times, samples * times, rows
        self.once = once if times == 1 else [value * times for value in once]
        if times > 1:
            facts = tuple(replace(each, calls=times * each.calls) for each in facts)
        self.added = [sums_of(each) for each in facts]
        self.facts = facts if times == 1 else tuple(_of_one(each, times) for each in facts)

    def add(self, other: "_Group") -> None:
        self.times += other.times
        self.samples += other.samples
        self.rows = self.rows + other.rows
        self.once = list(map(operator.add, self.once, other.once))
        self.added = [_sum(mine, theirs) for mine, theirs in zip(self.added, other.added, strict=True)]

    def copy(self) -> "_Group":
        new: _Group = object.__new__(_Group)
        vars(new).update(vars(self))
        return new


class Folded(OpCount):
    """The cost of the calls of one group. first: the one of its place that answers for the samples of all."""

    def __init__(self, fold: "Fold", place: int, group: _Group, first: bool) -> None:
        self.fold, self.place, self.group, self.first = fold, place, group, first

    @property
    def facts(self) -> tuple[Facts, ...]:  # type: ignore[override]
        """What the rules of others ask, added up over the calls of the group."""
        pairs = zip(self.group.facts, self.group.added, strict=True)
        return tuple(Facts(**(vars(facts) | dict(zip(SUMS, added, strict=True)))) for facts, added in pairs)

    @property
    def blocks(self) -> Any:  # type: ignore[override]
        """Counts of several batches are asked of `Ops`. Raises CostError."""
        raise CostError("blocks: these are counts of batches that were folded together; ask Ops.table and the like")

    def totals(self) -> dict[str, int]:
        """Sum of every column over the calls of the group; columns that are zero are absent."""
        place, group = self.fold.places[self.place], self.group
        sums: dict[str, int] = {}
        once = iter(group.once)
        for block in place.blocks:
            for name, value, start in zip(block.names, block.values, block.starts, strict=True):
                if not block.axes:
                    total = next(once)
                elif value is None:
                    first = start - place.rows.start
                    total = sum(group.rows[first : first + block.rows].tolist())
                else:
                    total = sum(each_step(value, block.rows)) * group.samples
                if total:
                    sums[name] = sums.get(name, 0) + total
        return sums


class Fold:
    """Batches that ran the same calls, `samples` samples in all.

    details: keep each column by layer, timestep and sample. Else by layer and timestep, and by sample of all layers
    together; by layer and sample only the columns in ALWAYS.
    """

    def __init__(self, places: tuple[Place, ...], details: bool) -> None:
        self.places, self.details = places, details
        self.samples = self.largest = 0  # largest: no sum of counts is above it
        self.groups: list[dict[Any, _Group]] = [{} for _ in places]
        self.steps = np.zeros(places[-1].rows.stop, np.int64)  # each row of the table, over samples
        self.tables: list[np.ndarray] = []  # of each batch: [rows, N]
        self.kept: dict[Any, list[np.ndarray]] = {}  # by column, or column and first row: [N] of each batch
        self.starts: list[int] = []  # first row of each column of each call that samples differ in
        by_column: dict[str, list[int]] = {}
        for block in itertools.chain.from_iterable(place.blocks for place in places):
            for name, value, start in zip(block.names, block.values, block.starts, strict=True):
                if block.axes and value is None:
                    by_column.setdefault(name, []).append(len(self.starts))
                    self.starts.append(start)
        self.of_column = [*itertools.chain.from_iterable(by_column.values())]  # places in `starts`, by column
        self.firsts = [0, *itertools.accumulate(map(len, by_column.values()))][:-1]  # of each column in it
        self.alone = [i for name in ALWAYS & by_column.keys() for i in by_column[name]]  # those kept by layer too
        names = {i: name for name, rows in by_column.items() for i in rows}
        self.keys = [*by_column, *((names[i], self.starts[i]) for i in self.alone)]

    @staticmethod
    def of(calls: Sequence[Call], samples: int | None, details: bool) -> "Fold | None":
        """Fold one batch; None if the calls do not all belong to as many samples, or count beyond 64 bits."""
        if samples is None:
            return None
        fold = Fold(places_of(calls, samples), details)
        return fold if fold.take([calls], samples) else None

    def take(self, batches: Sequence[Sequence[Call]], samples: int) -> bool:
        """Put batches, each of so many other samples, after those that are there; False, and nothing done, if one has
        no place.

        What is the same plan in all of them (`snncore.opcount.again`) is worked out once.
        """
        if any(len(calls) != len(self.places) for calls in batches):
            return False
        arrays: list[np.ndarray] = []  # rows of the table, samples of all batches side by side
        found: list[list[_Group]] = []  # of each place
        for calls, place in zip(zip(*batches, strict=True), self.places, strict=True):
            if any((call.layer, call.function, call.step, call.foreign) != place[:4] for call in calls):
                return False
            groups = _groups([call.cost for call in calls], place, samples, arrays)
            if groups is None:
                return False
            found.append(groups)
        n = samples * len(batches)
        table = np.concatenate(arrays) if arrays else np.zeros((0, n), np.int64)
        largest = self.largest + int(table.max(initial=0)) * table.size
        if largest >= LIMIT:
            return False
        self.largest = largest
        self.samples += n
        self.steps = self.steps + table.sum(axis=1)
        for of_place, groups in zip(self.groups, found, strict=True):
            for group in groups:
                self._into(of_place, tuple(map(kept_apart, group.facts)), group)
        if self.details:
            self.tables = _joined([*self.tables, _narrow(table)])
        else:
            for key, counts in zip(self.keys, self._sums(table), strict=True):
                self.kept[key] = _joined([*self.kept.get(key, ()), counts])
        return True

    def add(self, other: "Fold") -> bool:
        """Put the samples of another fold after those of this one; False if it ran other calls."""
        if self.places != other.places or self.details != other.details or self.largest + other.largest >= LIMIT:
            return False
        self.samples += other.samples
        self.largest += other.largest
        self.steps = self.steps + other.steps
        for mine, theirs in zip(self.groups, other.groups, strict=True):
            for key, group in theirs.items():
                self._into(mine, key, group.copy())
        for name, arrays in other.kept.items():
            self.kept[name] = _joined(self.kept[name] + arrays)
        self.tables = _joined(self.tables + other.tables)
        return True

    def calls(self, batch: int) -> list[Call]:
        """The calls of all batches in the order of execution, those that rules tell apart one after the other."""
        return [
            Call(place.layer, place.function, Folded(self, i, group, k == 0), place.step, batch, place.foreign)
            for i, (place, groups) in enumerate(zip(self.places, self.groups, strict=True))
            for k, group in enumerate(groups.values())
        ]

    def parts(self, place: int, column: str, by: str, timesteps: int | None, batch: int) -> Iterator[Part]:
        """Counts of all calls at a place: by "timestep" (summed over samples), "sample" (over time), or "both".

        "network": as "sample", without what `by_sample` has of all layers. Raises CostError where nothing was kept.
        """
        at, n = self.places[place], self.samples
        whole = sum(not block.axes for block in at.blocks)
        done = 0  # columns of calls as a whole
        for block in at.blocks:
            start = at.step
            if block.axes == 2 and start is None and not (block.rows == 1 and timesteps not in (None, 1)):
                start = 0
            shape = {"timestep": (block.rows, 1), "both": (block.rows, n)}.get(by, (1, n)) if block.axes else (1, 1)
            counts = np.broadcast_to(np.int64(0), shape)
            if column in block.names:
                k = block.names.index(column)
                if whole and not block.axes:
                    total = sum(group.once[done + k] for group in self.groups[place].values())
                    counts = np.array([[total]], object)
                elif not (by == "network" and block.values[k] is None and not self.details):
                    counts = self._counts(block, k, by)
            done += 0 if block.axes else len(block.names)
            yield Part(batch, start, block.axes > 0, counts)

    def by_sample(self, column: str) -> np.ndarray:
        """What samples differ in, of all layers: [N]; zeros if nothing."""
        found = self.kept.get(column)
        return np.concatenate(found).astype(object) if found else np.zeros(self.samples, np.int64)

    def size(self) -> int:
        """Bytes of what grows with the samples."""
        return sum(array.nbytes for arrays in (self.tables, *self.kept.values()) for array in arrays)

    def _into(self, groups: dict[Any, _Group], key: Any, group: _Group) -> None:
        if key in groups:
            groups[key].add(group)
        else:
            groups[key] = group

    def _sums(self, table: np.ndarray) -> list[np.ndarray]:
        """Sums over time of a table [rows, N], for each of `keys`: a column of all layers, or of one layer."""
        if not len(table):
            return []
        over_time = np.add.reduceat(table, self.starts, axis=0)
        of_all = np.add.reduceat(over_time[self.of_column], self.firsts, axis=0)
        sums = np.concatenate([of_all, over_time[self.alone]])
        return [row.astype(np.min_scalar_type(most)) for row, most in zip(sums, _largest_of_each(sums), strict=True)]

    def _counts(self, block: Block, k: int, by: str) -> np.ndarray:
        value, start = block.values[k], block.starts[k]
        if value is not None:
            steps = np.array(each_step(value, block.rows), object)[:, None]  # [T, 1]
            if by == "timestep":
                return steps * self.samples
            counts = _roomy(steps if by == "both" else steps.sum(keepdims=True))
            return np.broadcast_to(counts, (len(counts), self.samples))
        rows = slice(start, start + block.rows)
        if by == "timestep":
            return self.steps[rows, None].astype(object)
        if self.details:
            counts = np.concatenate([table[rows] for table in self.tables], axis=1).astype(np.int64)
            return _roomy(counts if by == "both" else counts.sum(axis=0, keepdims=True))
        if by == "both" or (block.names[k], start) not in self.kept:
            raise CostError(
                f"{block.names[k]} by sample of a layer, or by timestep and sample: expected Ops(details=True), found "
                "details=False, which does not keep it"
            )
        return _roomy(np.concatenate(self.kept[block.names[k], start])[None])


def _of_one(facts: Facts, times: int) -> Facts:
    """What rules tell of one of several calls that are all alike, of which these are the facts together."""
    sizes = {name: getattr(facts, name) // times for name in ("in_size", "out_size", "cells")}
    return replace(facts, **sizes)


def _groups(costs: list[OpCount], place: Place, samples: int, arrays: list[np.ndarray]) -> list[_Group] | None:
    """Groups of the calls at one place of several batches; None if one does not fit. Rows are appended to `arrays`."""
    batches = len(costs)
    whole = together(costs) if batches > 1 else None
    if whole is not None:
        rows: list[np.ndarray] = []
        once: list[int] = []
        if not fits(whole, place, samples * batches, rows, once):
            return None
        arrays += rows
        sums = np.concatenate(rows).sum(axis=1) if rows else np.zeros(0, np.int64)
        return [_Group(whole.facts, samples, sums, once, batches)]
    groups = []
    parts: list[list[np.ndarray]] = []
    for cost in costs:
        rows, once = [], []
        if not fits(cost, place, samples, rows, once):
            return None
        sums = np.concatenate(rows).sum(axis=1) if rows else np.zeros(0, np.int64)
        groups.append(_Group(cost.facts, samples, sums, once))
        parts.append(rows)
    arrays += parts[0] if batches == 1 else [np.concatenate(same, axis=1) for same in zip(*parts, strict=True)]
    return groups


def _sum(a: tuple, b: tuple) -> tuple:
    """Sums of numbers, and of what was not stated nothing."""
    if None in a or None in b:
        return tuple(None if x is None or y is None else x + y for x, y in zip(a, b, strict=True))
    return tuple(map(operator.add, a, b))


def _largest_of_each(rows: np.ndarray) -> list[int]:
    return rows.max(axis=1).tolist() if rows.size else [0] * len(rows)


def _narrow(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))


def _roomy(counts: np.ndarray) -> np.ndarray:
    """Counts in a type in which thousands can be added up."""
    return counts.astype(np.int64 if int(counts.max(initial=0)) < SAFE else object)


def _joined(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The same samples in fewer arrays."""
    return [np.concatenate(arrays, axis=-1)] if len(arrays) > MANY else arrays
