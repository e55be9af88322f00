"""Where a run stands: what a checkpoint says besides arrays, checked field by field, and the two that are kept.

last.safetensors       the newest
previous.safetensors   the one before, to fall back to when the newest is damaged
"""

import math
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from misnet.training.totals import Totals
from snncore.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from snncore.files import beside

__all__ = ["LAST", "PREVIOUS", "State", "load_newest", "save_newest"]

LAST, PREVIOUS = "last.safetensors", "previous.safetensors"


@dataclass
class State:
    """Position of a run and what it has seen.

    epoch: epochs that are done. batch: batches done of the next one. best: accuracy of the best epoch, -1 before the
    first. rows: of metrics.csv. origin: settings and switches that the run is trained with, None in checkpoints of
    earlier versions. warned: warnings that were given.
    """

    epoch: int = 0
    batch: int = 0
    best: float = -1.0
    totals: Totals = field(default_factory=Totals)
    rows: list[dict[str, Any]] = field(default_factory=list)
    origin: dict[str, Any] | None = None
    warned: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON can hold them."""
        return {**vars(self), "totals": self.totals.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], heads: Collection[str]) -> "State":
        """Return the state from its plain values; raises ValueError, naming the entry, for one that cannot be."""
        epoch, batch = (_integer(values, name) for name in ("epoch", "batch"))
        best = _number(values, "best", -1)
        if best > 1:
            raise _wrong("best", "an accuracy, or -1", best)
        rows = _typed(values, "rows", list, "a list")
        _check_rows(rows, heads, epoch)
        totals = Totals.from_dict(_check_totals(_typed(values, "totals", dict, "an object"), heads), heads)
        origin = values.get("origin")
        if origin is not None and not isinstance(origin, dict):
            raise _wrong("origin", "an object", origin)
        warned = values.get("warned", [])
        if not isinstance(warned, list) or not all(isinstance(text, str) for text in warned):
            raise _wrong("warned", "a list of texts", warned)
        return cls(epoch, batch, best, totals, rows, origin, warned)


def _wrong(name: str, expected: str, found: Any) -> ValueError:
    text = repr(found)
    return ValueError(f"{name}: expected {expected}, found {text if len(text) <= 60 else text[:57] + '...'}")


def _typed(values: Mapping[str, Any], name: str, kind: type, expected: str, label: str = "") -> Any:
    if name not in values:
        raise ValueError(f"{label or name}: expected {expected}, found nothing")
    if not isinstance(values[name], kind) or (kind is not bool and isinstance(values[name], bool)):
        raise _wrong(label or name, expected, values[name])
    return values[name]


def _integer(values: Mapping[str, Any], name: str, label: str = "") -> int:
    expected = "an integer of at least 0"
    value = _typed(values, name, int, expected, label)
    if not 0 <= value < 2**63:
        raise _wrong(label or name, expected, value)
    return int(value)


def _number(values: Mapping[str, Any], name: str, least: float = -math.inf, label: str = "") -> float:
    expected = "a finite number" + (f" of at least {least:g}" if least > -math.inf else "")
    value = _typed(values, name, int | float, expected, label)  # type: ignore[arg-type]
    if not (math.isfinite(value) and value >= least):
        raise _wrong(label or name, expected, value)
    return float(value)


def _check_totals(totals: dict[str, Any], heads: Collection[str]) -> dict[str, Any]:
    """Raise ValueError unless these are sums that `Totals` can hold; earlier versions list right answers unnamed."""
    known = set(Totals().to_dict())
    if unknown := sorted(set(totals) - known):
        raise ValueError(f"totals: expected {', '.join(sorted(known))}, found {unknown[0]!r} too")
    samples, spikes, places = (_integer(totals, n, f"totals.{n}") for n in ("samples", "spikes", "places"))
    _number(totals, "loss", label="totals.loss")
    _number(totals, "seconds", 0, "totals.seconds")
    if spikes > places:
        raise _wrong("totals.spikes", f"at most {places} places", spikes)
    correct = _typed(totals, "correct", dict | list, "an object", "totals.correct")  # type: ignore[arg-type]
    named = correct if isinstance(correct, dict) else dict(zip(heads, correct, strict=False))
    if len(correct) != len(named) or (named and set(named) != set(heads)):
        raise _wrong("totals.correct", f"right answers of {', '.join(heads)}", correct)
    for head in named:
        if _integer(named, head, f"totals.correct.{head}") > samples:
            raise _wrong(f"totals.correct.{head}", f"at most {samples} samples", named[head])
    layers = totals.get("layers", {})
    for path, counts in layers.items() if isinstance(layers, dict) else [("layers", None)]:
        if not (isinstance(counts, list) and len(counts) == 2 and all(type(x) is int for x in counts)):
            raise _wrong("totals.layers", "spikes and places of each layer", {path: counts})
    return totals


def _check_rows(rows: list[Any], heads: Collection[str], epochs: int) -> None:
    """Raise ValueError unless there is a row for each epoch, with all figures of these heads."""
    names = ("loss", *(f"accuracy_{head}" for head in heads), "firing_rate")
    needed = {f"{split}_{name}" for split in ("train", "test") for name in names} | {"learning_rate"}
    if len(rows) != epochs:
        raise ValueError(f"rows: expected one for each of {epochs} epochs, found {len(rows)}")
    for k, row in enumerate(rows):
        if not isinstance(row, dict):
            raise _wrong(f"rows[{k}]", "an object", row)
        if _integer(row, "epoch", f"rows[{k}].epoch") != k + 1:
            raise _wrong(f"rows[{k}].epoch", str(k + 1), row["epoch"])
        if missing := sorted(needed - set(row)):
            raise ValueError(f"rows[{k}].{missing[0]}: expected a finite number, found nothing")
        if list(row) != list(rows[0]):
            raise _wrong(f"rows[{k}]", "the columns of the first row", list(row))
        for name in row:
            if name in needed:
                _number(row, name, label=f"rows[{k}].{name}")
            else:  # speed and memory: a system that does not tell gives NaN
                _typed(row, name, int | float, "a number", f"rows[{k}].{name}")  # type: ignore[arg-type]


def save_newest(folder: Path, arrays: Mapping[str, Any], state: State, rotate: bool = True) -> None:
    """Write last.safetensors, and keep the one before as previous.safetensors.

    rotate: False if last.safetensors is damaged, so that it does not take the place of a good one. At every moment a
    whole checkpoint is there. Raises CheckpointError, with both files as they were or last twice, if it cannot write.
    """
    if rotate:
        _keep_as_previous(folder)
    save_checkpoint(folder / LAST, arrays, state.to_dict())


def _keep_as_previous(folder: Path) -> None:
    temporary = beside(folder / PREVIOUS)
    try:
        with suppress(FileNotFoundError):  # the first save of a run has nothing to keep
            os.link(folder / LAST, temporary)  # a second name costs no space
            os.replace(temporary, folder / PREVIOUS)
    except OSError:  # a file system without hard links: the old file is moved, the new one is written next
        with suppress(OSError):
            os.replace(folder / LAST, folder / PREVIOUS)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # it stays if both names are of one file


def load_newest(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], Path, str | None]:
    """Return arrays, metadata and path of the newest checkpoint that is whole, and why it is not last.safetensors.

    Raises CheckpointError, about last.safetensors, if neither can be read.
    """
    try:
        return (*load_checkpoint(folder / LAST), folder / LAST, None)
    except CheckpointError as error:
        if not (folder / PREVIOUS).exists():
            raise
        try:
            return (*load_checkpoint(folder / PREVIOUS), folder / PREVIOUS, str(error))
        except CheckpointError as other:
            raise CheckpointError(f"{error}; nor is the one before of use: {other}") from None
