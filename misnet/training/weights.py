"""weights.csv of a run folder: the size of every parameter at the start and after each epoch, to draw how it moved."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from misnet.models.contract import Model
from snncore.files import read_file, replace_file

__all__ = ["WEIGHTS", "add_weights", "read_weights", "sizes_of"]

WEIGHTS = "weights.csv"


def sizes_of(model: Model) -> dict[str, float]:
    """Return a number for each parameter: its value if it has one entry, as alpha, else its root mean square."""
    found = {}
    for name, p in model.named_parameters():
        x = p.data.astype("float64").ravel()
        found[name] = float(x[0]) if x.size == 1 else float((x @ x / max(1, x.size)) ** 0.5)
    return found


def add_weights(folder: Path, epoch: int, sizes: Mapping[str, float]) -> None:
    """Write the row of an epoch, 0 for the start, and drop those from there on, which a resumed run makes again.

    Raises OSError. A file that is not one of these parameters is begun anew.
    """
    path, names = folder / WEIGHTS, ["epoch", *sizes]
    kept = [row for row in _rows(path, names) if int(row[0]) < epoch]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([names, *kept, [str(epoch), *(f"{x:.6g}" for x in sizes.values())]])
    replace_file(path, text.getvalue().encode())


def read_weights(folder: Path, model: Model) -> dict[str, dict[int, float]]:
    """Return for each parameter its number by epoch; nothing if the run did not write them, or the file is damaged."""
    names = ["epoch", *(name for name, _ in model.named_parameters())]
    rows = _rows(folder / WEIGHTS, names)
    return {name: {int(row[0]): float(row[k]) for row in rows} for k, name in enumerate(names) if k} if rows else {}


def _rows(path: Path, names: list[str]) -> list[list[str]]:
    try:
        header, *rows = csv.reader(read_file(path).decode().splitlines())
        for row in rows:
            int(row[0]), [float(x) for x in row[1:]]
    except (OSError, ValueError, IndexError, csv.Error):  # none, or not whole: it is not worth an error
        return []
    return rows if header == names and all(len(row) == len(names) for row in rows) else []
