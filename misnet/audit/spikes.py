"""Exact counts from recorded spike trains of any simulator, beside a layer table: one array in memory at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from misnet.audit.layers import ANY, counted, resolved, some, subject_between
from misnet.audit.layers_cost import cost_of, input_shape, other_shape
from misnet.audit.layers_expected import blend, expected, is_expectation, levels, stated
from misnet.audit.layers_row import Rate, Row, TableError, Values
from misnet.audit.spikes_file import Recordings
from misnet.audit.subject import Subject
from snncore import OpCount

__all__ = ["recorded_subject"]

BINARY = Values("binary")


def _named(row: Row, recordings: Recordings) -> tuple[str | None, str | None]:
    """Names of the recordings of a row that are in the file."""
    first = row.recording or (row.name if row.name in recordings.names else None)
    return first, row.recording_other if row.kind in ("residual", "mlif", "matmul") else None


def recorded_subject(
    path: Path,
    rows: Sequence[Row],
    spikes: Path,
    layout: str = "",
    timesteps: int | None = None,
    rate: Rate | None = None,
) -> Subject:
    """Counts of a table whose inputs are recorded, exact by timestep and sample; the rest of it by its rates.

    Raises TableError for arrays that belong to no row, rows with neither a recording nor a rate, and other timesteps
    or samples than the first recording has.
    """
    recordings = Recordings(spikes, layout)
    names = {row.name: _named(row, recordings) for row in rows}
    used = {name for pair in names.values() for name in pair if name}
    for row in rows:
        for column, name in zip(("recording", "recording_other"), names[row.name], strict=True):
            if name and name not in recordings.names:
                raise TableError(
                    f"{path}, line {row.line}, column {column}: expected an array of {spikes} "
                    f"({', '.join(recordings.names)}), found {name!r}"
                )
    if unknown := [name for name in recordings.names if name not in used]:
        raise TableError(f"{spikes}: expected arrays for layers of {path}, found {unknown[0]!r} that no line takes")
    rows, samples = _with_cells(rows, names, recordings, timesteps)
    for row in rows:
        first, second = names[row.name]
        missing = first is None and row.rate is None and row.kind not in ("batch_norm", "li") and not _analog(row)
        missing_other = row.two and second is None and row.rate_other is None
        if rate is None and (missing or missing_other):
            what = "rate" if missing else "rate_other"
            raise TableError(
                f"{path}, line {row.line}, {row.name}: expected a recording in {spikes} or a {what}, found neither"
            )
    rows, words = resolved([_without_rates(row, names[row.name]) for row in rows], timesteps, rate)
    exact = [row for row in rows if _whole(row, names[row.name])]
    low = counted(rows, lambda row: _cost(row, names[row.name], recordings, samples, False), samples)
    high = low
    if any(row not in exact for row in rows):
        high = counted(rows, lambda row: _cost(row, names[row.name], recordings, samples, True), samples)
    guessed = [
        row.name for row in rows if row not in exact and (is_expectation(row) or ANY in (row.rate, row.rate_other))
    ]
    if guessed:
        words.append(f"not recorded, counted by a rate (an expectation): {some(guessed)}")
    return subject_between(
        low,
        high,
        words,
        title=f"{path.name} with the spikes of {spikes.name}, T={low.timesteps}",
        network={"layers": [row.name for row in rows], "source": str(path), "spikes": str(spikes)},
        weights="none: the table has shapes, the recordings have spikes",
        data={"name": spikes.name, "recorded": [row.name for row in exact if names[row.name][0]]},
        by_rates=not used,
    )


def _without_rates(row: Row, names: tuple[str | None, str | None]) -> Row:
    """A row whose recorded sides have no rate: what was recorded is what counts."""
    first, second = names
    rates = {"rate": None if first else row.rate, "rate_other": None if second else row.rate_other}
    return replace(row, recording=first, recording_other=second, **rates)


def _analog(row: Row) -> bool:
    return row.values is not None and row.values.kind == "analog"


def _with_cells(
    rows: Sequence[Row], names: dict[str, tuple[str | None, str | None]], recordings: Recordings, timesteps: int | None
) -> tuple[list[Row], int]:
    """Give each row the timesteps of its recording; return the rows and the number of samples of all recordings."""
    cells: dict[tuple[str, str], tuple[int, int]] = {}  # what the headings say, before any array is read
    for row in rows:
        for name in filter(None, names[row.name]):
            cells[row.name, name] = recordings.cells(row, name)
            if 0 in cells[row.name, name]:
                found = "{} timesteps of {} samples".format(*cells[row.name, name])
                raise recordings.fail(row, name, "at least one timestep and one sample", found)
    if not cells:
        return [row if row.timesteps else replace(row, timesteps=timesteps) for row in rows], 1
    (_, first), (_, samples) = next(iter(cells.items()))
    network: tuple[int, str] | None = None if timesteps is None else (timesteps, "by --steps")
    for row in rows:
        due = (row.timesteps, "by the table") if row.timesteps else None
        for name in filter(None, names[row.name]):
            t, n = cells[row.name, name]
            if n != samples:
                raise recordings.fail(row, name, f"{samples} samples as in {first}", f"{n} samples")
            if row.timesteps is None:
                due = network = network or (t, f"as in {name}, or a line that says its own (column timesteps)")
            if due is not None and t != due[0]:
                raise recordings.fail(row, name, f"{due[0]} timesteps {due[1]}", f"{t} timesteps")
    # Without --steps, lines that say nothing run as long as the recordings of such lines, or the longest of all.
    whole = network[0] if network else max(t for t, _ in cells.values())
    return [row if row.timesteps else replace(row, timesteps=whole) for row in rows], samples


def _whole(row: Row, names: tuple[str | None, str | None]) -> bool:
    """Whether nothing of a row hangs on a rate."""
    return (names[0] is not None or row.rate is None) and (names[1] is not None or not row.two)


def _cost(row: Row, names: tuple[str | None, str | None], recordings: Recordings, samples: int, high: bool) -> OpCount:
    """Cost of a row from its recordings; a side that has none by its rate."""
    if names == (None, None):
        return expected(row, high, samples)
    t = row.timesteps or 1
    corners = []
    for p, x in _side(row, names[0], recordings, input_shape(row, t, samples), row.values, row.rate, high):
        others: Any = [(Fraction(1), None)]
        if row.two:
            shape = other_shape(row, t, samples)
            others = _side(row, names[1], recordings, shape, row.values_other, row.rate_other, high)
        corners += [(p * q, cost_of(row, x, y, bool(row.outside))) for q, y in others]
    if len(corners) > 1:
        return stated(row, blend(corners), high)
    cost = corners[0][1]
    if row.outside:
        cost.facts = tuple(replace(facts, outside=True) for facts in cost.facts)
    return cost


def _side(
    row: Row,
    name: str | None,
    recordings: Recordings,
    shape: tuple[int, ...],
    values: Values | None,
    rate: Rate | None,
    high: bool,
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """One input of a row, with its share: what was recorded, or zeros and events everywhere by the rate."""
    if name is not None:
        yield (
            Fraction(1),
            recordings.array(row, name, shape, BINARY if row.neuron and name == row.recording else values),
        )
        return
    for share, level in levels(values or BINARY, rate, high):
        yield share, np.full(shape, *level)
