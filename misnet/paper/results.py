"""What a run of a grid came to, read from its folder, and what several seeds of it come to."""

import csv
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Result", "Spread", "read_result", "spread"]


@dataclass(frozen=True)
class Result:
    """One run. accuracy: of the verdict on the test set in percent, after the last epoch. heads: of every head.

    parameters: learnable numbers. firing_rate: spikes per neuron and timestep. paper_mj, exact_mj: millijoules for one
    sample by the paper's rule and by `exact`, NaN if the audit did not price by that rule.
    """

    accuracy: float
    heads: dict[str, float]
    parameters: int
    firing_rate: float
    paper_mj: float
    exact_mj: float


def read_result(folder: Path) -> Result:
    """Return what a finished run folder with its audit.json says; raises ValueError, naming the file, if it cannot."""
    path = folder / "metrics.csv"
    try:
        with path.open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        heads = {
            name.removeprefix("test_accuracy_"): 100 * float(x)
            for name, x in last.items()
            if name.startswith("test_accuracy_")
        }
        path = folder / "audit.json"
        audit = json.loads(path.read_text())
        rules = audit["rules"]
        energy = {n: rules[n]["per_sample"]["energy_mj"] if n in rules else math.nan for n in ("paper", "exact")}
        parameters, rate = int(audit["parameters"]), float(audit["firing_rate"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read as what a run writes: {type(error).__name__}: {error}") from None
    return Result(next(iter(heads.values())), heads, parameters, rate, energy["paper"], energy["exact"])


@dataclass(frozen=True)
class Spread:
    """Several values: their mean, and the standard deviation of a sample (divisor n - 1), NaN for a single one."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """NaN for no value."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """NaN for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    def __str__(self) -> str:
        if not self.values:
            return "-"
        return f"{self.mean:.2f}" if len(self.values) == 1 else f"{self.mean:.2f} +- {self.deviation:.2f}"


def spread(results: Sequence[Result], name: str) -> Spread:
    """Return the values of a field of Result over several runs."""
    return Spread(tuple(float(getattr(result, name)) for result in results))
