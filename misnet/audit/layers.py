"""A layer table as the subject of an audit: what empty cells mean, and the counts at the ends of its rates."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from misnet.audit.layers_cost import FUNCTIONS
from misnet.audit.layers_expected import expected, has_ends, is_expectation
from misnet.audit.layers_row import Rate, Row, TableError, Values
from misnet.audit.subject import Subject
from snncore import OpCount, Ops
from snncore.opcount import Call
from snncore.opcount.cost import WEIGHTED

__all__ = ["ANY", "counted", "resolved", "some", "subject_between", "table_subject"]

ANY = Rate(Fraction(0), Fraction(1))
"""All that is possible: the rate of a layer that has none."""

ENDS = "rates or values have bounds: a figure that stands alone, without `low to high`, is that of the lower ends"
"""What a reader must know of a subject with a higher end."""


def unrecorded(row: Row) -> Row:
    """A row without its recordings; a product whose other side would have been recorded is still one of spikes."""
    other = row.values_other
    if row.recording_other is not None:
        other = other or Values("binary")
    return replace(row, recording=None, recording_other=None, values_other=other)


def resolved(
    rows: Iterable[Row], timesteps: int | None = None, rate: Rate | None = None
) -> tuple[list[Row], list[str]]:
    """Fill in what empty cells mean, and say in words what was taken.

    timesteps: of the network, for rows without their own. rate: for rows without one; None takes `ANY`.
    Raises TableError if a row has no timesteps and none are given.
    """
    words, made, rows = [], [], list(rows)
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
        named = some(list(dict.fromkeys(unrated)))
        words.append(f"no rate is given for {named}: 0 to 1 is taken, all that is possible")
    return made, words


def some(names: Sequence[str]) -> str:
    """Names in words, the first few where there are many."""
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} more"


def _has_rate(row: Row, values: Values | None) -> bool:
    return row.kind not in ("batch_norm", "li") and (values is None or values.kind != "analog")


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


def subject_between(low: Ops, high: Ops, words: Sequence[str], **known: Any) -> Subject:
    """Return the subject of counts at two ends, which has no higher one where they are alike.

    words: its warnings so far. known: other fields of `Subject`.
    """
    same = high is low or (low.totals() == high.totals() and low.facts() == high.facts())
    return Subject(
        ops=low,
        high=None if same else high,
        timesteps=low.timesteps or 0,
        parameters=parameters(low),
        warnings=[*words, *([] if same else [ENDS])],
        **known,
    )


def table_subject(
    path: Path, rows: Sequence[Row], timesteps: int | None = None, rate: Rate | None = None, source: str = "table"
) -> Subject:
    """Counts of one sample of the network in a table, from its rates; `high` where the two ends differ."""
    rows, words = resolved(map(unrecorded, rows), timesteps, rate)
    low = counted(rows, lambda row: expected(row, high=False))
    high = counted(rows, lambda row: expected(row, high=True)) if any(map(has_ends, rows)) else low
    guessed = [row.name for row in rows if is_expectation(row)]
    if guessed:
        words.append(
            f"{len(guessed)} of {len(rows)} layers are counted by a rate: expectations (rate x taps inside the image, "
            "rounded), for spikes as frequent at the borders as elsewhere; two inputs are taken as independent"
        )
    return subject_between(
        low,
        high,
        words,
        title=f"{path.name}, {len(rows)} layers, T={low.timesteps}, by the rates of the {source}",
        network={"layers": [row.name for row in rows], "source": str(path)},
        weights="none: the table has shapes and rates",
        data={"name": path.name},
        by_rates=True,
    )
