"""Counts of a layer table: rate times the taps that land inside, by the cost functions of the engine, low and high.

Every count of a layer is affine in how often its input fires (of two inputs: affine in each). So a layer whose input
fires at rate r costs (1 - r) times what it costs for zeros, plus r times what it costs if all entries fire, both
counted by the same function that counts a network which runs. At rates of 0 and 1 that is exact. In between it is the
expectation, for spikes that are as frequent at the borders of an image as elsewhere, rounded to whole operations; of
two inputs, for trains that are independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from misnet.audit.layers_cost import FUNCTIONS, cost_of, input_shape, other_shape
from misnet.audit.layers_row import Rate, Row, TableError, Values
from misnet.audit.subject import Subject
from snncore import OpCount, Ops
from snncore.opcount import Call
from snncore.opcount.cost import WEIGHTED, Facts

__all__ = [
    "ANY",
    "HALF",
    "blend",
    "counted",
    "expected",
    "is_expectation",
    "parameters",
    "resolved",
    "stated",
    "table_subject",
]

ANY = Rate(Fraction(0), Fraction(1))
"""All that is possible: the rate of a layer that has none."""

HALF = 0.5
"""An analog entry that is neither zero nor one."""


def resolved(
    rows: Sequence[Row], timesteps: int | None = None, rate: Rate | None = None
) -> tuple[list[Row], list[str]]:
    """Fill in what empty cells mean, and say in words what was taken.

    timesteps: of the network, for rows without their own. rate: for rows without one; None takes `ANY`.
    Raises TableError if a row has no timesteps and none are given.
    """
    words, made = [], []
    first = next((i for i, row in enumerate(rows) if row.weighted), len(rows))
    unrated: list[str] = []
    for i, row in enumerate(rows):
        if row.timesteps is None and timesteps is None:
            raise TableError(f"line {row.line}, {row.name}: expected timesteps, in a column or by --steps, found none")
        outside = i <= first if row.outside is None else row.outside
        values = row.values
        if values is None and row.recording is None:
            data = i == first and row.rate is None
            values = Values("analog") if data else Values("binary")
            if data:
                words.append(f"{row.name} is taken for the first layer on analog data (values: analog)")
        more: dict[str, Any] = {"timesteps": row.timesteps or timesteps, "outside": outside, "values": values}
        if row.two and row.recording_other is None:
            more["values_other"] = row.values_other or Values("binary")
        for column, recording in (("rate", row.recording), ("rate_other", row.recording_other)):
            rated = recording is None and (_has_rate(row, values) if column == "rate" else row.two)
            if rated and getattr(row, column) is None:
                more[column] = rate or ANY
                unrated += [row.name] if rate is None else []
        made.append(replace(row, **more))
    if unrated:
        named = ", ".join(dict.fromkeys(unrated))
        words.append(f"no rate is given for {named}: 0 to 1 is taken, all that is possible")
    return made, words


def _has_rate(row: Row, values: Values | None) -> bool:
    return row.kind not in ("batch_norm", "li") and (values is None or values.kind != "analog")


def is_expectation(row: Row) -> bool:
    """Whether a count of a resolved row hangs on a rate between 0 and 1."""
    rates = [row.rate, row.rate_other if row.two else None]
    return any(end not in (0, 1) for rate in rates if rate is not None for end in (rate.low, rate.high))


def expected(row: Row, high: bool, samples: int = 1) -> OpCount:
    """Cost of a resolved row at the lower or the higher end of its rates and values, for `samples` samples alike."""
    t = row.timesteps or 1
    xs = _ends(row.values, row.rate, input_shape(row, t, 1), high)
    if row.two:
        others = _ends(row.values_other, row.rate_other, other_shape(row, t, 1), high)
        corners = [(p * q, cost_of(row, x(), y())) for p, x in xs for q, y in others]
    else:
        corners = [(p, cost_of(row, x())) for p, x in xs]
    return stated(row, blend(corners, samples), high)


Corner = tuple[Fraction, Callable[[], np.ndarray]]


def _ends(values: Values | None, rate: Rate | None, shape: tuple[int, ...], high: bool) -> list[Corner]:
    """Inputs of zeros and of events everywhere, with the share of each; made when asked for, since they are large."""
    values = values or Values("analog")
    if values.events:
        level, dtype = (values.top if high else 1), np.uint8
    else:
        level, dtype = HALF, np.float32
    if rate is None:  # analog, or a layer that fires nothing
        share = Fraction(0) if values.events else Fraction(1)
    else:
        share = rate.high if high else rate.low
        if values.kind == "averaged" and high and share:
            share = Fraction(1)  # all entries may have some of the mean
    ends: list[Corner] = []
    if share < 1:
        ends.append((1 - share, lambda: np.zeros(shape, dtype)))
    if share > 0:
        ends.append((share, lambda: np.full(shape, level, dtype)))
    return ends


def blend(corners: Sequence[tuple[Fraction, OpCount]], copies: int = 1) -> OpCount:
    """Mean of costs of one layer by their shares, for so many copies of its sample: whole numbers in every cell.

    What is rounded off is carried to the next cell, so that their sum is the mean of the sums, rounded.
    """
    lead, columns = _mean(corners, 0)
    if len(lead) == 2:
        lead = (lead[0], lead[1] * copies)
    blocks = [(lead, columns), *(_mean(corners, k) for k in range(1, len(corners[0][1].blocks)))]
    made = OpCount(facts=tuple(_facts(corners, k, copies) for k in range(len(corners[-1][1].facts))))
    made.blocks = [(at, OpCount(at, **block).blocks[0][1]) for at, block in blocks]  # checked anew
    return made


def _mean(corners: Sequence[tuple[Fraction, OpCount]], k: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    lead = corners[0][1].blocks[k][0]
    names = dict.fromkeys(name for _, cost in corners for name in cost.blocks[k][1])
    return lead, {name: _whole([(p, cost.blocks[k][1].get(name, 0)) for p, cost in corners], lead) for name in names}


def _whole(parts: list[tuple[Fraction, Any]], lead: tuple[int, ...]) -> Any:
    """Mean of counts as integers: an array of cells, or a number that holds for every one."""
    if len(parts) == 1:
        return parts[0][1]
    if all(isinstance(value, int) for _, value in parts):
        mean = sum(p * value for p, value in parts)
        if mean.denominator == 1 or not lead:
            return round(mean)
    cells = np.zeros(lead, object)
    carried, done = Fraction(0), 0
    full = [(p, np.broadcast_to(np.asarray(value, object), lead)) for p, value in parts]
    for at in np.ndindex(*lead):
        carried += sum(p * int(value[at]) for p, value in full)
        cells[at] = round(carried) - done
        done += cells[at]
    return cells


def _facts(corners: Sequence[tuple[Fraction, OpCount]], k: int, copies: int) -> Facts:
    """Facts of the same share of each corner; of a layer in so many copies of its sample."""
    every = [(p, cost.facts[k]) for p, cost in corners]
    last = every[-1][1]
    sums: dict[str, Any] = {
        name: copies * float(sum(p * Fraction(getattr(facts, name)) for p, facts in every))
        for name in ("value_sum", "value_taps")
    }
    return replace(
        last,
        events=copies * round(sum(p * facts.events for p, facts in every)),
        in_size=copies * last.in_size,
        out_size=copies * last.out_size,
        cells=copies * last.cells,
        unit=all(facts.unit for _, facts in every),
        signed_unit=all(facts.signed_unit for _, facts in every),
        **sums,
    )


def stated(row: Row, cost: OpCount, high: bool) -> OpCount:
    """Let the facts say what the table says of the values, which no single array of a corner shows."""
    values, rate = row.values or Values("binary"), row.rate
    silent = rate is not None and (rate.high if high else rate.low) == 0
    facts = []
    for each in cost.facts:
        if row.outside:
            each = replace(each, outside=True)
        if values.kind == "graded" and values.top > 1 and not silent:  # some event is above 1, at either end
            each = replace(each, unit=False, signed_unit=False)
        if values.kind == "averaged" and not silent and each.kind != "neuron":
            share = rate.high if high else rate.low  # type: ignore[union-attr]
            mean = each.in_size * float(share)
            reach = each.value_taps / each.value_sum if each.value_sum else 0.0
            each = replace(each, value_sum=mean, value_taps=mean * reach, unit=False, signed_unit=False)
        if values.kind == "analog" and not row.neuron and each.kind not in ("batch_norm", "neuron"):
            each = replace(each, unit=False, signed_unit=False, negative=not row.outside)
        facts.append(each)
    cost.facts = tuple(facts)
    return cost


def counted(rows: Sequence[Row], cost: Callable[[Row], OpCount], samples: int = 1) -> Ops:
    """Ops of a table: a call for each layer and repetition, as a network that runs would have made it."""
    ops = Ops(samples, max(row.timesteps or 1 for row in rows))
    for row in rows:
        made = cost(row)
        ops.calls += [Call(row.name, FUNCTIONS[row.kind], made, None, 0)] * row.repeat
    return ops


def parameters(ops: Ops) -> int:
    """Weights and biases of the layers that have them."""
    return sum(facts.weights + facts.bias for _, facts in ops.facts() if facts.kind in WEIGHTED)


def table_subject(
    path: Path, rows: Sequence[Row], timesteps: int | None = None, rate: Rate | None = None, source: str = "table"
) -> Subject:
    """Counts of one sample of the network in a table, from its rates; `high` where the two ends differ."""
    rows, words = resolved(rows, timesteps, rate)
    low = counted(rows, lambda row: expected(row, high=False))
    high = counted(rows, lambda row: expected(row, high=True))
    guessed = [row.name for row in rows if is_expectation(row)]
    if guessed:
        words.append(
            f"{len(guessed)} of {len(rows)} layers are counted by a rate: expectations (rate x taps inside the image, "
            "rounded), for spikes as frequent at the borders as elsewhere; two inputs are taken as independent"
        )
    same = low.totals() == high.totals() and low.facts() == high.facts()
    return Subject(
        title=f"{path.name}, {len(rows)} layers, T={low.timesteps}, by the rates of the {source}",
        ops=low,
        high=None if same else high,
        timesteps=low.timesteps or 0,
        network={"layers": [row.name for row in rows], "source": str(path)},
        weights="none: the table has shapes and rates",
        parameters=parameters(low),
        data={"name": path.name},
        warnings=words,
    )
