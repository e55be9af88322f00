"""Reading a layer table from a CSV file."""

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from misnet.audit.layers_cells import Cells
from misnet.audit.layers_row import COLUMNS, DECAYS, POOLS, Rate, Row, TableError, Values

__all__ = ["read_table", "table_text"]


def read_table(path: Path) -> list[Row]:
    """Read a table; raises TableError, which names the line and the column, or OSError."""
    lines = list(_lines(path))
    if not lines:
        raise TableError(f"{path}: expected a heading and a line for each layer, found neither")
    (line, heading), *body = lines
    while heading and not heading[-1].strip():  # columns without a name behind the last, as spreadsheets write them
        heading = heading[:-1]
    names = [cell.strip().lower().replace(" ", "_") for cell in heading]
    _check_heading(path, line, heading, names)
    rows: list[Row] = []
    for line, cells in body:
        if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
            raise TableError(f"{path}, line {line}: expected {len(names)} cells as in the heading, found {len(cells)}")
        given = {name: cell.strip() for name, cell in zip(names, cells, strict=False) if cell.strip()}
        row = Cells(path, line, given).row()
        if twin := [other for other in rows if other.name == row.name]:
            raise TableError(
                f"{path}, line {line}, column name: expected each name once, found {row.name!r} in line "
                f"{twin[0].line} too"
            )
        rows.append(row)
    if not rows:
        raise TableError(f"{path}: expected a line for each layer, found the heading alone")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines that are neither empty nor comments, as (number, cells)."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: expected a CSV file in UTF-8, found byte {content[error.start]:#x}") from None
    if "\0" in text:
        raise TableError(f"{path}: expected a CSV file in UTF-8, found a zero byte")
    kept = ("\n" if line.lstrip().startswith("#") else line for line in io.StringIO(text, newline=""))
    reader = csv.reader(kept, strict=True, skipinitialspace=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise TableError(f"{path}, line {reader.line_num}: expected CSV, found a fault: {error}") from None


def _check_heading(path: Path, line: int, heading: list[str], names: list[str]) -> None:
    if len(heading) == 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs")):
            if mark in heading[0]:
                raise TableError(f"{path}, line {line}: expected commas between cells, found {word}")
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0)[0]
            raise TableError(
                f"{path}, line {line}: expected columns of {', '.join(COLUMNS)}, found {name!r} (nearest: {near})"
            )
    for name in ("name", "kind"):
        if names.count(name) == 0:
            raise TableError(f"{path}, line {line}: expected a column {name}, found {', '.join(names)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TableError(
            f"{path}, line {line}: expected each column once, found {twice[0]} {names.count(twice[0])} times"
        )


def table_text(rows: Sequence[Row]) -> str:
    """Return rows as a table that `read_table` reads as the same rows; columns that all leave empty are left out."""
    cells = [_cells_of(row) for row in rows]
    names = [name for name in COLUMNS if any(name in given for given in cells)]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([names, *([given.get(name, "") for name in names] for given in cells)])
    return file.getvalue()


def _cells_of(row: Row) -> dict[str, str]:
    """The cells of a row that are not those of an empty one."""
    windows = row.kind in ("conv", "depthwise", *POOLS)
    cells: dict[str, str | None] = {
        "name": row.name,
        "kind": row.kind,
        "in_channels": str(row.channels[0]),
        "out_channels": str(row.channels[1]) if row.weighted else None,
        "size": "x".join(map(str, row.size)),
        **{name: "x".join(map(str, getattr(row, name))) for name in ("kernel", "stride", "padding") if windows},
        "dilation": "x".join(map(str, row.dilation)) if row.dilation != (1, 1) else None,
        "groups": str(row.groups) if row.groups != 1 and row.kind != "depthwise" else None,
        "bias": "yes" if row.bias else None,
        "timesteps": str(row.timesteps) if row.timesteps else None,
        "values": _words(row.values),
        "rate": _share(row.rate),
        "values_other": _words(row.values_other),
        "rate_other": _share(row.rate_other),
        "reset": "hard" if row.reset == "hard" else None,
        "decay": None if row.decay == DECAYS.get(row.kind, 0.5) else repr(row.decay),
        "input": "still" if row.still else {True: "outside", False: "inside", None: None}[row.outside],
        "repeat": str(row.repeat) if row.repeat != 1 else None,
        "recording": row.recording,
        "recording_other": row.recording_other,
        "layout": row.layout,
    }
    return {name: text for name, text in cells.items() if text}


def _words(values: Values | None) -> str | None:
    return values and (f"graded {values.top}" if values.kind == "graded" else values.kind)


def _share(rate: Rate | None) -> str | None:
    return rate and (f"{float(rate.low)!r}" + ("" if rate.low == rate.high else f" - {float(rate.high)!r}"))
