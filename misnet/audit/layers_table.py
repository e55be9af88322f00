"""Reading a layer table from a CSV file."""

import csv
import difflib
import io
from collections.abc import Iterator
from pathlib import Path

from misnet.audit.layers_cells import Cells
from misnet.audit.layers_row import COLUMNS, Row, TableError

__all__ = ["read_table"]


def read_table(path: Path) -> list[Row]:
    """Read a table; raises TableError, which names the line and the column, or OSError."""
    lines = list(_lines(path))
    if not lines:
        raise TableError(f"{path}: expected a heading and a line for each layer, found neither")
    (line, heading), *body = lines
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
