"""What was counted, and what can be asked of it: totals, by layer, by timestep, by sample."""

import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from snncore.opcount.again import Again
from snncore.opcount.columns import COLUMNS, as_expected
from snncore.opcount.cost import CostError, Facts, UnresolvedWarning
from snncore.opcount.fold import Call, Fold, Folded, Part

__all__ = ["Call", "Counts", "Ops"]


AT_ONCE = 16  # batches that run the same calls, before they are folded


class Counts(dict[str, int]):
    """Counts by column. A column that is not in it counted nothing: it reads as 0. CostError for an unknown name."""

    def __missing__(self, column: str) -> int:
        if column not in COLUMNS:
            raise CostError(as_expected(column))
        return 0


class Ops:
    """Counts of everything that ran in a `count_ops` block: in total, by layer, by timestep, by sample.

    Columns are those of `snncore.opcount.columns.COLUMNS`. Some are other readings of the same operations (the column
    says of which): they are kept apart, and adding them up is the business of a rule in `snncore.energy`.
    told: number of samples of each batch, as `count_ops(samples=)` and `next_batch(samples=)` were told it.
    Batches that ran the same calls on a number of samples that was told are folded into the first of them: a Call then
    stands for several, and memory grows by a few numbers a sample.
    details: False keeps, of batches that are folded, no counts of single samples in single layers or timesteps: `table`
    of a layer, and `by_sample` of one, are then refused, and a sample takes some hundred bytes.
    """

    def __init__(self, samples: int | None = None, timesteps: int | None = None, details: bool = True) -> None:
        self.calls: list[Call] = []
        self.batches = 1
        self.told: dict[int, int | None] = {0: samples}
        self.timesteps = timesteps
        self.details = details
        self._last: tuple[int, Fold] | None = None  # the batches that the next one may be folded with
        self._waiting: list[int] = []  # batches that will be folded with the next ones

    def next_batch(self, samples: int | None = None) -> None:
        """Say that what follows are other samples (by default, as many): they come after the earlier ones."""
        n = self.told.get(self.batches - 1) if samples is None else samples
        if self._last is not None and len(self._waiting) < AT_ONCE - 1 and self._comes_again():
            self._waiting.append(self.batches - 1)
        else:
            self.fold()
        self.told[self.batches] = n
        self.batches += 1

    def extend(self, other: "Ops") -> None:
        """Add the counts of other samples."""
        self.fold()
        for batch in sorted({call.batch for call in other.calls} | other.told.keys()):
            calls = [call for call in other.calls if call.batch == batch]
            self.told[self.batches + batch] = other.told.get(batch)
            self._join(calls, self.batches + batch)
        self.batches += other.batches

    def fold(self) -> None:
        """Fold the calls of the last batch, which nothing more may come to, and of those before it that wait for it."""
        batches: dict[int, list[Call]] = {batch: [] for batch in (*self._waiting, self.batches - 1)}
        self._waiting = []
        for call in self.calls:
            if call.batch in batches:
                batches[call.batch].append(call)
        plain = {
            batch: calls
            for batch, calls in batches.items()
            if calls and not any(isinstance(call.cost, Folded) for call in calls)
        }
        self.calls = [call for call in self.calls if call.batch not in plain]
        for samples, some in itertools.groupby(plain, self.told.get):
            alike = {batch: plain[batch] for batch in some}
            if len(alike) == 1 or not self._add([*alike.values()], samples):
                for batch, calls in alike.items():
                    self._join(calls, batch)

    def _comes_again(self) -> bool:
        """Whether some call of the last batch is one of the batch before, so that both are better folded at once."""
        last = itertools.takewhile(lambda call: call.batch == self.batches - 1, reversed(self.calls))
        return any(isinstance(call.cost, Again) for call in last)

    def _add(self, batches: list[list[Call]], samples: int | None) -> bool:
        """Whether batches, each of one batch or folded ones, could be put after those of the last fold, and so were."""
        if self._last is None or not _whole(self.calls, self._last[1]):
            return False
        first, fold = self._last
        groups = sum(map(len, fold.groups))
        if not self._into(fold, batches, samples):
            return False
        if sum(map(len, fold.groups)) > groups:  # of facts that rules tell apart: the order must be right
            self.calls = [call for call in self.calls if not _of(call, fold)] + fold.calls(first)
        self.told[first] = fold.samples
        return True

    def _join(self, calls: list[Call], batch: int) -> None:
        """Put the calls of one batch, or of several that were folded, after all others."""
        if not calls:
            return
        if self._add([calls], self.told.get(batch)):
            return
        begun = self._begun(calls, self.told.get(batch))
        self._last = None if begun is None else (batch, begun)
        self.calls += [replace(call, batch=batch) for call in calls] if begun is None else begun.calls(batch)

    def _into(self, fold: Fold, batches: list[list[Call]], samples: int | None) -> bool:
        """Whether batches could be added to a fold: some that were not folded, or one that is a fold."""
        calls = batches[0]
        if isinstance(calls[0].cost, Folded):
            return _whole(calls, calls[0].cost.fold) and fold.add(calls[0].cost.fold)
        plain = not any(isinstance(call.cost, Folded) for call in calls)
        return plain and samples is not None and fold.take(batches, samples)

    def _begun(self, calls: list[Call], samples: int | None) -> Fold | None:
        """A new fold of calls; None if they cannot be folded."""
        if not isinstance(calls[0].cost, Folded):
            plain = not any(isinstance(call.cost, Folded) for call in calls)
            return Fold.of(calls, samples, self.details) if plain else None
        fold = calls[0].cost.fold
        new = Fold(fold.places, fold.details)
        new.kept = {name: [] for name in fold.kept}
        return new if fold.details == self.details and _whole(calls, fold) and new.add(fold) else None

    @property
    def samples(self) -> int | None:
        """Number of samples that ran, of all batches; None if `count_ops` was not told, for then nobody knows."""
        told = [self.told.get(batch) for batch in sorted({call.batch for call in self.calls})]
        known = [n for n in told if n is not None]
        return sum(known) if len(known) == len(told) else None

    def totals(self, layer: str | None = None) -> dict[str, int]:
        """Every column over all calls, or those of one layer: exact Python integers, zeros included."""
        sums = Counts.fromkeys(COLUMNS, 0)
        for call in self._of(layer):
            for name, value in call.cost.totals().items():
                sums[name] += value
        return Counts(sums)

    def layers(self) -> dict[str, dict[str, int]]:
        """Totals by layer, in the order in which they first ran; a column that is zero is absent and reads as 0."""
        table: dict[str, dict[str, int]] = defaultdict(Counts)
        for call in self.calls:
            row = table[call.layer]
            for name, value in call.cost.totals().items():
                row[name] += value
        return dict(table)

    def by_timestep(self, column: str, layer: str | None = None) -> list[int]:
        """A column for each timestep, summed over samples.

        Warns (UnresolvedWarning) if some of it belongs to no timestep; `unresolved` says how much.
        Raises CostError for an unknown column, or if the batches do not agree on the number of timesteps.
        """
        placed = [part for part in self._parts(column, layer, "timestep") if part.start is not None]
        self._warn(column, layer, "timestep", "wrap the steps of a loop over time in at_timestep(t)")
        sums = [part._replace(counts=part.counts.sum(axis=1, keepdims=True)) for part in placed]
        return [int(v) for v in sum(_tables(sums), np.zeros((1, 1), object))[:, 0]] if sums else []

    def by_sample(self, column: str, layer: str | None = None) -> list[int]:
        """A column for each sample, summed over timesteps; the samples of later batches come after earlier ones.

        Warns (UnresolvedWarning) if some of it belongs to no sample; `unresolved` says how much.
        Raises CostError for an unknown column, or if the calls do not agree on the number of samples of a batch.
        """
        sums: dict[int, np.ndarray] = {}
        whole = {} if layer is not None else self._whole_folds()
        for part in self._parts(column, layer, "network" if whole else "sample"):
            if part.sampled:
                row = part.counts.sum(axis=0)
                sums[part.batch] = _agreeing(sums.get(part.batch), row)
        for batch, fold in whole.items():
            sums[batch] = _agreeing(sums.get(batch), fold.by_sample(column))
        self._warn(column, layer, "sample", "tell count_ops(samples=) how many there are")
        return [int(v) for batch in sorted(sums) for v in sums[batch]]

    def unresolved(self, column: str, layer: str | None = None, by: str = "timestep") -> int:
        """What `by_timestep` (by="timestep") or `by_sample` (by="sample") leaves out.

        Losses are of a call as a whole, and so are weights read once; after a mean over time there is no timestep.
        """
        if by not in ("timestep", "sample"):
            raise ValueError(f"by: expected 'timestep' or 'sample', found {by!r}")
        parts = self._parts(column, layer, "timestep")
        left = [part for part in parts if (part.start is None if by == "timestep" else not part.sampled)]
        return sum(int(part.counts.sum()) for part in left)

    def table(self, column: str, layer: str | None = None) -> np.ndarray:
        """A column by timestep and sample: Python integers [T, N], of what belongs to both.

        Raises CostError for an unknown column, or where the calls do not agree on the number of timesteps or samples.
        """
        parts = [part for part in self._parts(column, layer, "both") if part.start is not None and part.sampled]
        return np.concatenate(_tables(parts), axis=1) if parts else np.zeros((0, 0), object)

    def facts(self) -> list[tuple[str, Facts]]:
        """What the rules of others ask, as (layer, facts) in the order of execution."""
        return [(call.layer, facts) for call in self.calls for facts in call.cost.facts]

    def _of(self, layer: str | None) -> list[Call]:
        return self.calls if layer is None else [call for call in self.calls if call.layer == layer]

    def _whole_folds(self) -> dict[int, Fold]:
        """The folds without details, by batch, whose sums over all layers stand for all of their calls."""
        folds = {call.batch: call.cost.fold for call in self.calls if isinstance(call.cost, Folded)}
        return {batch: fold for batch, fold in folds.items() if not fold.details and _whole(self.calls, fold)}

    def _parts(self, column: str, layer: str | None, by: str) -> Iterator[Part]:
        """Counts of each call; of folded ones summed as `Fold.parts` says."""
        if column not in COLUMNS:
            raise CostError(as_expected(column))
        for call in self._of(layer):
            if isinstance(call.cost, Folded):
                if call.cost.first:
                    yield from call.cost.fold.parts(call.cost.place, column, by, self.timesteps, call.batch)
                continue
            for lead, columns in call.cost.blocks:
                counts = np.broadcast_to(np.asarray(columns.get(column, 0), object), lead)
                start = call.step
                if len(lead) == 2:  # rows are timesteps, unless there is one row for all of them
                    once = lead[0] == 1 and self.timesteps not in (None, 1)
                    start = call.step if call.step is not None or once else 0
                yield Part(call.batch, start, bool(lead), counts.reshape((1,) * (2 - len(lead)) + lead))

    def _warn(self, column: str, layer: str | None, by: str, advice: str) -> None:
        if left := self.unresolved(column, layer, by):
            total = self.totals(layer)[column]
            text = f"by_{by}({column!r}): {left:,} of {total:,} belong to no {by} and are left out; {advice}"
            warnings.warn(text, UnresolvedWarning, stacklevel=3)


def _whole(calls: list[Call], fold: Fold) -> bool:
    """Whether calls are all those of a fold, of which nobody took any away."""
    return sum(_of(call, fold) for call in calls) == sum(map(len, fold.groups))


def _of(call: Call, fold: Fold) -> bool:
    return isinstance(call.cost, Folded) and call.cost.fold is fold


def _tables(parts: list[Part]) -> list[np.ndarray]:
    """Sum of the parts of each batch, each in its timesteps: arrays [T, N] of one T."""
    tables: dict[int, np.ndarray] = {}
    for part in sorted(parts, key=lambda part: part.batch):
        start = part.start or 0
        end = start + len(part.counts)
        table = tables.setdefault(part.batch, np.zeros((end, part.counts.shape[1]), object))
        if len(table) < end:
            table = np.concatenate([table, np.zeros((end - len(table), table.shape[1]), object)])
        table[start:end] = _agreeing(table[start:end], part.counts)
        tables[part.batch] = table
    if len(steps := {len(table) for table in tables.values()}) != 1:
        raise CostError(f"batches of {sorted(steps)} timesteps: expected one number")
    return list(tables.values())


def _agreeing(sums: np.ndarray | None, counts: np.ndarray) -> np.ndarray:
    """sums + counts, of one number of samples."""
    if sums is None:
        return counts
    if sums.shape[-1] != counts.shape[-1]:
        raise CostError(
            f"samples: expected one number of them in a batch, found {sums.shape[-1]} and {counts.shape[-1]}; "
            "tell count_ops(samples=) how many there are, and call next_batch() between batches"
        )
    return sums + counts
