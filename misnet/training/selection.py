"""Which epoch of a run is the best, by which samples that is judged, and when no better one is awaited any longer."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Row", "best_epoch", "describe_best", "describe_early_end", "judged_by", "out_of_patience"]

Row = Mapping[str, Any]
"""The figures of an epoch, as metrics.csv has them."""


def judged_by(row: Row) -> str:
    """Return the part of the data that a run judges its epochs by: "val" if it has one, else "test"."""
    return "val" if any(name.startswith("val_accuracy_") for name in row) else "test"


def best_epoch(rows: Sequence[Row], head: str) -> int:
    """Return the index of the row with the best accuracy of a head in the part that judges; the first of several."""
    column = f"{judged_by(rows[0])}_accuracy_{head}"
    return max(range(len(rows)), key=lambda k: (rows[k][column], -k))


def out_of_patience(rows: Sequence[Row], head: str, patience: int | None) -> bool:
    """Return whether the best epoch lies `patience` epochs back or more; None waits for ever."""
    return bool(rows) and patience is not None and len(rows) - 1 - best_epoch(rows, head) >= patience


def describe_best(rows: Sequence[Row], head: str) -> str:
    """Return words on the best epoch: its test accuracy, and the accuracy that it was chosen by, if that is another."""
    best = rows[best_epoch(rows, head)]
    test = f"{100 * best[f'test_accuracy_{head}']:.2f} %"
    if judged_by(best) == "test":
        return f"best test accuracy {test}"
    chosen = f"{100 * best[f'val_accuracy_{head}']:.2f} %"
    last = f"{100 * rows[-1][f'test_accuracy_{head}']:.2f} %"
    return f"best validation accuracy {chosen}, in epoch {best['epoch']}, whose test accuracy is {test} (last: {last})"


def describe_early_end(rows: Sequence[Row], patience: int | None, epochs: int) -> str:
    """Return words on why a run that ran out of patience ended before its last epoch."""
    return f"no better epoch in {patience} after epoch {len(rows) - (patience or 0)} of {epochs}"
