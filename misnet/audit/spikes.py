"""Exact counts from recorded spike trains of any simulator, beside a layer table: one array in memory at a time."""

import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from misnet.audit.layers import ANY, HALF, blend, counted, expected, is_expectation, parameters, resolved, stated
from misnet.audit.layers_cost import cost_of, input_shape, other_shape
from misnet.audit.layers_row import Rate, Row, TableError, Values
from misnet.audit.subject import Subject
from snncore import OpCount

__all__ = ["Recordings", "recorded_subject"]

AXES = {"conv": "TNHWC", "matmul": "TNGLC"}
"""Axes of an input as the engine has them: G heads, L rows or tokens; of other kinds by the size of the row."""

BINARY = Values("binary")


class Recordings:
    """The arrays of an .npz file, read one at a time.

    layout: axes of those whose row names none, such as TNCHW; "" for the engine's own order. Letters: T timesteps, N
    samples, H height, W width, C channels or features (also F), L tokens or rows, G heads; without N for one sample.
    Raises TableError if the file is no .npz, or names an array twice.
    """

    def __init__(self, path: Path, layout: str = "") -> None:
        self.path, self.layout = path, layout.upper()
        if (
            set(self.layout) - set("TNHWCFLG")
            or len({*self.layout}) != len(self.layout)
            or "T" not in (self.layout or "T")
        ):
            raise TableError(f"--layout: expected axes such as TNHWC, TNCHW or TNF, each once, found {layout!r}")
        self.known: tuple[str, np.ndarray] | None = None  # the last that was read
        try:
            with zipfile.ZipFile(path) as file:
                self.names = [name.removesuffix(".npy") for name in file.namelist()]
        except zipfile.BadZipFile as error:
            raise TableError(f"{path}: expected a file of numpy.savez, found none ({error})") from None

    def read(self, name: str) -> np.ndarray:
        """Return one array; that which was read before is let go."""
        if self.known is None or self.known[0] != name:
            self.known = None
            try:
                with np.load(self.path, allow_pickle=False) as file:
                    self.known = name, file[name]
            except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
                raise TableError(
                    f"{self.path}, array {name}: expected numbers of numpy.savez, found: {error}"
                ) from None
        return self.known[1]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one array from its heading alone."""
        with zipfile.ZipFile(self.path) as file, file.open(f"{name}.npy") as member:
            try:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                return read(member)[0]
            except ValueError as error:
                raise TableError(f"{self.path}, array {name}: expected an array, found: {error}") from None

    def axes(self, row: Row, name: str) -> str:
        """Return the axes of an array, one letter each, as the row or the option tells; ? for one that is flattened."""
        shape, own = self.shape(name), _axes(row)
        told = row.layout or self.layout
        letters = [sorted(own), sorted("TNHWC") if row.kind == "linear" else sorted(own)]
        if told:
            told = told.replace("F", "C")
            fits = len(shape) in (len(told), len(told) - ("N" in told)) and sorted({*told, "N"}) in letters
            if not fits and row.layout:
                raise self.fail(row, name, f"axes {row.layout}, an order of {own}", f"an array of shape {shape}")
            told = told if fits else ""  # the option is for arrays with the axes that it names
        told = told or own
        if len(shape) == len(told) - 1:
            told = told.replace("N", "")
        if len(shape) == len(told):
            return told
        if row.kind == "linear" and len(shape) > 2:  # [T, N, ...], or [T, ...] if that alone has so many features
            alone = math.prod(shape[1:]) == row.channels[0] != math.prod(shape[2:])
            return ("T" if alone else "TN") + "?" * (len(shape) - 2 + alone)
        raise self.fail(row, name, f"axes {own}", f"an array of shape {shape}")

    def fail(self, row: Row, name: str, expected: str, found: Any) -> TableError:
        """Return the error for an array that does not fit a row."""
        return TableError(
            f"{self.path}, array {name}, for {row.name} (line {row.line}): expected {expected}, found {found}"
        )

    def cells(self, row: Row, name: str) -> tuple[int, int]:
        """Return the timesteps and samples of an array, from its heading."""
        axes, shape = self.axes(row, name), self.shape(name)
        return shape[axes.index("T")], shape[axes.index("N")] if "N" in axes else 1

    def array(self, row: Row, name: str, shape: tuple[int, ...], values: Values | None) -> np.ndarray:
        """Return an array as [T, N, ...] of `shape`: integers of at least 0, or floats if the values are analog.

        Raises TableError for another shape, or for values that are not what the table says.
        """
        axes = self.axes(row, name)
        x = self.read(name)
        if "N" not in axes:
            x, axes = (x[:, None], axes) if "?" in axes else (x[None], "N" + axes)
        if "?" not in axes:
            order = _axes(row) if sorted(_axes(row)) == sorted(axes) else "TNHWC"
            x = x.transpose([axes.index(letter) for letter in order])
        if row.kind == "linear" and x.shape[:2] == shape[:2] and x.size == math.prod(shape):
            x = x.reshape(shape)  # flattened: each event reaches every output, in whatever order
        if x.shape != shape:
            stored = f"{x.shape} (stored as {axes} {self.shape(name)})"
            raise self.fail(row, name, f"{_axes(row)} {shape}", stored)
        return self.integers(row, name, np.ascontiguousarray(x), values)

    def integers(self, row: Row, name: str, x: np.ndarray, values: Values | None) -> np.ndarray:
        if x.dtype.kind not in "buif":
            raise self.fail(row, name, "numbers", f"type {x.dtype}")
        if values is not None and not values.events:
            return x.astype(np.float32, copy=False)
        if x.dtype.kind == "b":
            return x.view(np.uint8)
        top = 255 if values is None else values.top
        for part in x:  # a timestep at a time: the checks need memory of the size of what they check
            wrong = part[(part < 0) | (part > top) | (part != np.rint(part))] if part.size else part
            if wrong.size:
                says = "0 to 255 (or values: analog)" if values is None else f"0 to {top} ({values.kind})"
                raise self.fail(row, name, f"whole numbers of {says}", f"{wrong.ravel()[0]:g}")
        return x.astype(np.uint8, copy=False)


def _axes(row: Row) -> str:
    if row.kind == "matmul":
        return AXES["matmul"]
    return "TN" + {0: "", 1: "L", 2: "HW"}[len(row.size)] + "C"


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
        words.append(f"not recorded, counted by a rate (an expectation): {', '.join(guessed)}")
    same = low is high or (low.totals() == high.totals() and low.facts() == high.facts())
    return Subject(
        title=f"{path.name} with the spikes of {spikes.name}, T={low.timesteps}",
        ops=low,
        high=None if same else high,
        timesteps=low.timesteps or 0,
        network={"layers": [row.name for row in rows], "source": str(path), "spikes": str(spikes)},
        weights="none: the table has shapes, the recordings have spikes",
        parameters=parameters(low),
        data={"name": spikes.name, "recorded": [row.name for row in exact if names[row.name][0]]},
        warnings=words,
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
    first: tuple[str, int] | None = None
    longest = 0
    made = []
    for row in rows:
        for name in filter(None, names[row.name]):
            t, n = recordings.cells(row, name)
            first = first or (name, n)
            if n != first[1]:
                raise recordings.fail(row, name, f"{first[1]} samples as in {first[0]}", f"{n} samples")
            due = row.timesteps or timesteps
            if due is not None and t != due:
                raise recordings.fail(row, name, f"{due} timesteps by the table or --steps", f"{t} timesteps")
            row = replace(row, timesteps=t)
            longest = max(longest, t)
        made.append(row)
    return [row if row.timesteps else replace(row, timesteps=timesteps or longest or None) for row in made], (
        first[1] if first else 1
    )


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
        corners += [(p * q, cost_of(row, x, y)) for q, y in others]
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
    values = values or BINARY
    share = (rate.high if high else rate.low) if rate else Fraction(1)
    level, dtype = ((values.top if high else 1), np.uint8) if values.events else (HALF, np.float32)
    if share < 1:
        yield 1 - share, np.zeros(shape, dtype)
    if share > 0:
        yield share, np.full(shape, level, dtype)
