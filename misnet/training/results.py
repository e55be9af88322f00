"""What a run folder tells once training is over, read back from config.json and metrics.csv for tables of several runs.

Nothing here trains, loads data or opens a checkpoint.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from misnet.models.registry import build, config_class
from misnet.training.folder import read_config
from misnet.training.selection import Row, best_epoch, judged_by, out_of_patience
from snncore.checkpoint import CheckpointError
from snncore.files import read_file

__all__ = ["Result", "Spread", "count_parameters", "macro_f1", "macro_f1_of", "read_result", "spread"]

AUDIT, EVALUATION = "audit.json", "evaluation.json"
RULES = ("paper", "exact")


@dataclass(frozen=True)
class Spread:
    """Values of several seeds: how many, mean, standard deviation (n - 1 below; None of one value), extremes."""

    n: int
    mean: float
    std: float | None
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation of at least one value."""
    n = len(values)
    mean = math.fsum(values) / n
    std = math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1)) if n > 1 else None
    return Spread(n, mean, std, min(values), max(values))


@dataclass(frozen=True)
class Result:
    """A run folder: its config.json, a row per epoch as numbers, and if it was audited millijoules a sample by rule.

    macro_f1: of the test samples after the last epoch, if evaluation.json was written of that.
    """

    folder: Path
    content: Mapping[str, Any]
    rows: list[Row]
    energy: Mapping[str, float]
    macro_f1: float | None = None

    @property
    def heads(self) -> list[str]:
        """Names of the heads, the verdict first."""
        return [name.removeprefix("test_accuracy_") for name in self.rows[0] if name.startswith("test_accuracy_")]

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.content["settings"].get("seed", 0))

    @property
    def epochs(self) -> int | None:
        """How many epochs the run is to have; None in a file that does not say."""
        return self.content["settings"].get("epochs")

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end: the last epoch, or that of its patience."""
        patience = self.content["settings"].get("patience")
        return len(self.rows) >= (self.epochs or 0) or out_of_patience(self.rows, self.heads[0], patience)

    @property
    def judged_by(self) -> str:
        """The part of the data that the best epoch is chosen by: "val", or "test"."""
        return judged_by(self.rows[0])

    @property
    def last(self) -> Row:
        """The last epoch."""
        return self.rows[-1]

    @property
    def best(self) -> Row:
        """The best epoch."""
        return self.rows[best_epoch(self.rows, self.heads[0])]


def read_result(folder: Path) -> Result:
    """Return what a run folder tells; raises CheckpointError, naming the file, if it cannot be read or has no epoch."""
    content = read_config(folder / "config.json")
    for name, unsaid in (("seed", 0), ("epochs", None), ("patience", None)):
        if type(value := content["settings"].get(name, unsaid)) not in (int, type(unsaid)):
            raise CheckpointError(f"{folder / 'config.json'}: {name}: expected an integer, found {value!r}")
    result = Result(folder, content, _read_metrics(folder / "metrics.csv"), _read_energy(folder / AUDIT))
    return replace(result, macro_f1=_read_macro_f1(folder / EVALUATION, result))


def macro_f1(confusion: Sequence[Sequence[int]]) -> float:
    """Return the mean over classes of F1 = 2 right / (samples of the class + predictions of it).

    confusion: counts [true, predicted]. A class without samples and predictions has no F1 and is left out, as
    `sklearn.metrics.f1_score(average="macro")` does; 0 if there are no samples at all.
    """
    all_of = [sum(row) + sum(other[k] for other in confusion) for k, row in enumerate(confusion)]
    scores = [2 * row[k] / n for k, (row, n) in enumerate(zip(confusion, all_of, strict=True)) if n]
    return math.fsum(scores) / len(scores) if scores else 0.0


def _read_metrics(path: Path) -> list[Row]:
    try:
        text = read_file(path).decode()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; expected at least one epoch to be done") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path}: cannot be read: {reason}") from None
    reader = csv.reader(io.StringIO(text))
    try:
        header, *lines = reader
        if not lines:
            raise ValueError("expected a line for at least one epoch, found none")
        if not text.endswith("\n"):
            raise ValueError("its last line is cut off")
        rows = [{k: float(x) for k, x in zip(header, line, strict=True)} for line in lines]
    except (ValueError, csv.Error) as error:
        raise CheckpointError(f"{path}: does not hold what a run writes: {error}") from None
    needed = {"epoch", "train_loss", "test_loss", "test_firing_rate"}
    heads = [name.removeprefix("test_accuracy_") for name in header if name.startswith("test_accuracy_")]
    if missing := sorted(needed - {*header}) or ([] if heads else ["test_accuracy_<head>"]):
        raise CheckpointError(f"{path}: expected the column {missing[0]}, found {', '.join(header)}")
    for k, row in enumerate(rows):
        if row["epoch"] != k + 1:
            raise CheckpointError(f"{path}: line {k + 2}: expected epoch {k + 1}, found {row['epoch']:g}")
        row["epoch"] = k + 1
        for head in heads:
            if not 0 <= row[f"test_accuracy_{head}"] <= 1:
                found = row[f"test_accuracy_{head}"]
                raise CheckpointError(f"{path}: line {k + 2}: test_accuracy_{head}: expected 0 to 1, found {found:g}")
    return rows


def _read_energy(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    try:
        rules = json.loads(read_file(path).decode())["rules"]
        return {rule: float(rules[rule]["per_sample"]["energy_mj"]) for rule in RULES if rule in rules}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: does not hold what the audit writes with --json: {error!r}") from None


def macro_f1_of(evaluation: Mapping[str, Any], result: Result) -> float | None:
    """Return the macro F1 of an evaluation whose accuracies are those of the last epoch; None for another."""
    columns = [f"test_accuracy_{head}" for head in result.heads]
    same = all(abs(evaluation.get(column, math.nan) - result.last[column]) <= 1e-9 for column in columns)
    return macro_f1(evaluation["confusion"]) if same else None


def _read_macro_f1(path: Path, result: Result) -> float | None:
    if not path.exists():
        return None
    try:
        found = json.loads(read_file(path).decode())
        return macro_f1_of(found, result)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: does not hold what evaluate.py writes with --json: {error!r}") from None


def count_parameters(content: Mapping[str, Any]) -> int:
    """Return the number of parameters of the network of a config.json, by building it."""
    return build(content["model"], config_class(content["model"]).from_dict(content["network"])).count_parameters()
