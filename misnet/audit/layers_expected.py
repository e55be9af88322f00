"""What one layer of a table counts at a rate: a mixture of what it counts for zeros and for events everywhere.

Every count of a layer is affine in how often its input fires (of two inputs: affine in each). So a layer whose input
fires at rate r costs (1 - r) times what it costs for zeros, plus r times what it costs if all entries fire, both
counted by the same function that counts a network which runs. At rates of 0 and 1 that is exact. In between it is the
expectation, for spikes that are as frequent at the borders of an image as elsewhere, rounded to whole operations; of
two inputs, for trains that are independent.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from misnet.audit.layers_cost import cost_of, input_shape, other_shape
from misnet.audit.layers_row import Rate, Row, Values
from snncore import OpCount
from snncore.opcount.cost import Facts

__all__ = ["blend", "expected", "has_ends", "is_expectation", "levels", "stated"]

HALF = 0.5
"""An analog entry that is neither zero nor one."""

MIXED: dict[str, Any] = {"unit": False, "signed_unit": False, "effective_unit": 0}
"""What the facts say of an input that holds values other than 0 and 1."""

Level = tuple[float, type]
"""What every entry of an input is, and the type that the engine would have for it."""


def is_expectation(row: Row) -> bool:
    """Whether a count of a resolved row hangs on a rate between 0 and 1."""
    rates = [row.rate, row.rate_other if row.two else None]
    return any(end not in (0, 1) for rate in rates if rate is not None for end in (rate.low, rate.high))


def has_ends(row: Row) -> bool:
    """Whether a resolved row may count less or more: its rate is a range, or its values are."""
    rates = [rate for rate in (row.rate, row.rate_other) if rate is not None]
    values = [v for v in (row.values, row.values_other) if v is not None]
    return any(r.low != r.high for r in rates) or any(v.kind == "averaged" or v.top > 1 for v in values)


def expected(row: Row, high: bool, samples: int = 1) -> OpCount:
    """Cost of a resolved row at the lower or the higher end of its rates and values, for `samples` samples alike."""
    shape = replace(row, line=0, name="", rate=None, rate_other=None, outside=None, repeat=1)
    xs = levels(row.values, row.rate, high)
    others = levels(row.values_other, row.rate_other, high) if row.two else [(Fraction(1), None)]
    corners = [(p * q, _corner(shape, x, y)) for p, x in xs for q, y in others]
    return stated(row, blend(corners, samples), high)


def levels(values: Values | None, rate: Rate | None, high: bool) -> list[tuple[Fraction, Level]]:
    """Zeros and events everywhere, with the share of each, of which an input of this rate is a mixture."""
    values = values or Values("analog")
    event: Level = ((values.top if high else 1), np.uint8) if values.events else (HALF, np.float32)
    if rate is None:  # analog, or a layer that fires nothing
        share = Fraction(0) if values.events else Fraction(1)
    else:
        share = rate.high if high else rate.low
        if values.kind == "averaged" and high and share:
            share = Fraction(1)  # all entries may have some of the mean
    ends = (1 - share, (0, event[1])), (share, event)
    return [(part, level) for part, level in ends if part]


@functools.lru_cache(maxsize=256)
def _corner(row: Row, x: Level, other: Level | None) -> OpCount:
    """Cost of one sample whose inputs are the same everywhere; networks have many layers of one shape."""
    t = row.timesteps or 1
    second = None if other is None else np.full(other_shape(row, t, 1), *other)
    return cost_of(row, np.full(input_shape(row, t, 1), *x), second, outside=row.still)


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

    def mean(name: str) -> Fraction:
        return copies * sum((p * Fraction(getattr(facts, name)) for p, facts in every), Fraction(0))

    known = last.effective is not None
    return replace(
        last,
        **{name: round(mean(name)) for name in ("events", "repeated", "effective_unit")},
        **{name: float(mean(name)) for name in ("value_sum", "value_taps")},
        **{name: copies * getattr(last, name) for name in ("in_size", "out_size", "cells", "rest")},
        effective=round(mean("effective")) if known else None,
        largest=max(facts.largest for _, facts in every),
        unit=all(facts.unit for _, facts in every),
        signed_unit=all(facts.signed_unit for _, facts in every),
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
            each = replace(each, unit=False, signed_unit=False, effective_unit=0, largest=values.top)
        if values.kind == "averaged" and not silent and each.kind != "neuron":
            share = rate.high if high else rate.low  # type: ignore[union-attr]
            mean = each.in_size * float(share)
            reach = each.value_taps / each.value_sum if each.value_sum else 0.0
            each = replace(each, value_sum=mean, value_taps=mean * reach, **MIXED)
        if values.kind == "analog" and not row.neuron and each.kind not in ("batch_norm", "neuron"):
            each = replace(each, **MIXED, negative=not row.outside)
        facts.append(each)
    cost.facts = tuple(facts)
    return cost
