"""Rows of a table against one of them, seed by seed: runs of one seed share their data and their order of batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from misnet.training.results import Result, spread

__all__ = ["BASES", "Paired", "base_of", "paired"]

BASES: Mapping[str, str] = {
    "fig6": "Ab3.1",
    "fig6-controls": "MLIF, alpha learned from 0.5",
    "7": "#4",
    "8": "#4",
}
"""How the row begins that all others of a table are compared with, by the table of its cells."""


def base_of(table: str, row: str) -> bool:
    """Whether a row is the one that the others of its table are compared with."""
    return table in BASES and row.startswith(BASES[table])


@dataclass(frozen=True)
class Paired:
    """Differences in accuracy (percentage points) of a row from its base, a number for each seed that both have."""

    label: str
    base: str
    differences: tuple[float, ...]

    def text(self) -> str:
        """The mean with the standard deviation of one difference, each seed, and in how many the row is above."""
        found = spread(self.differences)
        mean = f"{found.mean:+.1f}" + ("" if found.std is None else f" +- {found.std:.1f}")
        each = " ".join(f"{x:+.1f}" for x in self.differences)
        above = sum(x > 0 for x in self.differences)
        return f"{self.label}: {mean} points ({each}), above in {above} of {found.n} seeds"


def paired(label: str, results: Sequence[Result], base: str, of_base: Sequence[Result]) -> Paired | None:
    """Return the differences of the verdict's accuracy after the last epoch; None if no seed has both."""

    def by_seed(runs: Sequence[Result]) -> dict[int, float]:
        return {r.seed: 100 * r.last[f"test_accuracy_{r.heads[0]}"] for r in runs}

    ours, theirs = by_seed(results), by_seed(of_base)
    seeds = sorted(ours.keys() & theirs.keys())
    return Paired(label, base, tuple(ours[s] - theirs[s] for s in seeds)) if seeds else None
