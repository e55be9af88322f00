"""Runs side by side: those that differ in the seed alone are one line, with mean and standard deviation."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from misnet.audit.figures import ENERGY_UNITS, energy_unit
from misnet.models.registry import config_class
from misnet.tools.settings import check_settings
from misnet.tools.toolkit import UsageError
from misnet.training.folder import write_file
from misnet.training.overlay import plot_overlay
from misnet.training.results import RULES, Result, Spread, count_parameters, spread
from snncore.files import json_bytes, text_bytes

__all__ = ["Comparison", "Group", "cells", "compare", "report", "words_on", "write_reports"]

NO_MATTER = {"seed", "data_dir", "recipe"}  # settings in which the runs of a line may differ
LONGEST = 60  # letters of a name that is made of what differs


@dataclass
class Group:
    """Runs of one network on one data set with the same settings, one for each seed.

    differs: the settings and switches in which it differs from other groups, with their values.
    """

    results: list[Result]
    parameters: int
    title: str
    name: str = ""
    differs: dict[str, Any] = field(default_factory=dict)

    @property
    def heads(self) -> list[str]:
        """Names of the heads, the verdict first."""
        return self.results[0].heads

    def figures(self) -> dict[str, Spread]:
        """Spread over the seeds of what the last epoch and the best one reached, shares of 1, and energies in mJ."""
        verdict, part = self.heads[0], self.results[0].judged_by
        found = {
            f"test_accuracy_{head}": [r.last[f"test_accuracy_{head}"] for r in self.results] for head in self.heads
        }
        for of in {part: None, "test": None}:
            column = f"{of}_accuracy_{verdict}"
            found[f"best_epoch_{column}"] = [r.best[column] for r in self.results]
        for column in ("train_loss", "test_loss", "test_firing_rate"):
            found[column] = [r.last[column] for r in self.results]
        found["macro_f1"] = [r.macro_f1 for r in self.results if r.macro_f1 is not None]
        for rule in RULES:
            found[f"energy_mj_{rule}"] = [r.energy[rule] for r in self.results if rule in r.energy]
        return {name: spread(values) for name, values in found.items() if values}


@dataclass
class Comparison:
    """Groups in the order of the runs given, and sentences on what stands in the way of comparing them."""

    groups: list[Group]
    notes: list[str]

    @property
    def heads(self) -> list[str]:
        """All heads, in the order in which they first appear."""
        return list(dict.fromkeys(head for group in self.groups for head in group.heads))


def compare(results: Sequence[Result]) -> Comparison:
    """Return runs by network and settings; raises UsageError for two of one seed, or for a setting that cannot be."""
    keys: dict[str, dict[str, Any]] = {}
    groups: dict[str, list[Result]] = {}
    for result in results:
        settings = check_settings(dict(result.content["settings"]), str(result.folder / "config.json"))
        network = config_class(result.content["model"]).from_dict(result.content["network"]).to_dict()
        shared = {name: value for name, value in settings.items() if name not in NO_MATTER}
        key = {"model": result.content["model"]} | {
            (f"model_{name}" if name in settings else name): value for name, value in network.items()
        }
        key |= shared
        text = json.dumps(key, sort_keys=True)
        keys[text] = key
        for other in groups.setdefault(text, []):
            if other.seed == result.seed:
                raise UsageError(
                    f"{result.folder}: has the seed {result.seed} and the settings of {other.folder}; expected each "
                    "seed once"
                )
        groups[text].append(result)
    found = [_group(members) for members in groups.values()]
    _name(found, list(keys.values()))
    return Comparison(found, _notes(found))


def _group(results: list[Result]) -> Group:
    content = results[0].content
    config = config_class(content["model"]).from_dict(content["network"])
    return Group(
        results, count_parameters(content), f"{config.title} on {content['settings'].get('dataset', 'dialpad')}"
    )


def _name(groups: list[Group], keys: list[dict[str, Any]]) -> None:
    """Name each group by what differs, or where that is long by its folder."""
    names = dict.fromkeys(name for key in keys for name in key)
    missing = object()
    differing = [name for name in names if any(key.get(name, missing) != keys[0].get(name, missing) for key in keys)]
    for group, key in zip(groups, keys, strict=True):
        group.differs = {name: key[name] for name in differing if name in key}
        text = ", ".join(f"{name}={_short(value)}" for name, value in group.differs.items())
        folder = group.results[0].folder.resolve()
        group.name = group.title if len(groups) == 1 else text
        if len(group.name) > LONGEST:
            group.name = folder.parent.name if folder.name.startswith("seed-") else folder.name
    taken: dict[str, int] = {}
    for group in groups:
        taken[group.name] = taken.get(group.name, 0) + 1
        group.name += f" ({taken[group.name]})" if taken[group.name] > 1 else ""


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def _notes(groups: list[Group]) -> list[str]:
    notes = []
    for result in (result for group in groups for result in group.results):
        if not result.finished:
            notes.append(f"{result.folder}: stands at epoch {len(result.rows)} of {result.epochs}")
    tested: dict[int, dict[Any, Result]] = {}
    for result in (result for group in groups for result in group.results):
        fingerprint = result.content.get("data", {}).get("test")
        tested.setdefault(result.seed, {}).setdefault(fingerprint, result)
    for seed, found in tested.items():
        if len(found) > 1:
            *most, last = (str(result.folder) for result in found.values())
            notes.append(f"{', '.join(most)} and {last} were not tested on the same samples (seed {seed})")
    if len({tuple(sorted(result.seed for result in group.results)) for group in groups}) > 1:
        notes.append("the lines have different seeds")
    return notes


def cells(found: Comparison) -> list[list[str]]:
    """Return the table: a heading, and a row for each group."""
    rows = [group.figures() for group in found.groups]
    energies = [rule for rule in RULES if any(f"energy_mj_{rule}" in figures for figures in rows)]
    unit = energy_unit(of[f"energy_mj_{rule}"].mean for of in rows for rule in energies if f"energy_mj_{rule}" in of)
    header = [
        "",
        "seeds",
        "parameters",
        *found.heads,
        "best",
        *(["macro F1"] if _has_f1(found) else []),
        "firing rate",
        *(f"{rule} {unit}" for rule in energies),
    ]
    return [header, *(_line(group, found.heads, energies, unit, _has_f1(found)) for group in found.groups)]


def _has_f1(found: Comparison) -> bool:
    return any(result.macro_f1 is not None for group in found.groups for result in group.results)


def report(found: Comparison) -> str:
    """Return the table as text, with a line of words on it, and notes."""
    header, *lines = cells(found)
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    table = [
        "  ".join(
            f"{cell:<{w}}" if k == 0 else f"{cell:>{w}}" for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in (header, *lines)
    ]
    notes = [f"note: {note}" for note in found.notes]
    return "\n".join([*(line.rstrip() for line in table), "", *words_on(found), *notes])


def words_on(found: Comparison) -> list[str]:
    """Return lines of words on the table."""
    parts = {group.results[0].judged_by for group in found.groups}
    chosen = "the test samples, which flatters it" if parts == {"test"} else "validation samples"
    chosen = "validation samples, or the test samples where there are none" if len(parts) > 1 else chosen
    lines = [
        "accuracies of each head in percent of the test samples after the last epoch, mean +- standard deviation over",
        f"the seeds; best: test accuracy of the first of them in the best epoch, chosen by {chosen}",
    ]
    if _has_f1(found):
        lines[-1] += ";"
        lines.append("macro F1: in percent, of runs whose evaluation.json is of their last epoch")
    return lines


def _line(group: Group, heads: Sequence[str], energies: Sequence[str], unit: str, f1: bool) -> list[str]:
    figures = group.figures()

    def cell(name: str, scale: float = 1, digits: int = 1) -> str:
        if name not in figures:
            return "-"
        found = figures[name]
        deviation = "" if found.std is None else f" +- {scale * found.std:.{digits}f}"
        return f"{scale * found.mean:.{digits}f}{deviation}"

    return [
        group.name,
        str(len(group.results)),
        f"{group.parameters:,}",
        *(cell(f"test_accuracy_{head}", 100) for head in heads),
        cell(f"best_epoch_test_accuracy_{group.heads[0]}", 100),
        *([cell("macro_f1", 100)] if f1 else []),
        cell("test_firing_rate", digits=3),
        *(cell(f"energy_mj_{rule}", 1 / ENERGY_UNITS[unit], 4) for rule in energies),
    ]


def write_reports(found: Comparison, table: Path | None, everything: Path | None, picture: Path | None) -> list[Path]:
    """Write a CSV with a row for each group, a JSON with every run too, a picture of the curves; return the paths."""
    if table is not None:
        write_file(table, text_bytes(_csv(found)))
    if everything is not None:
        write_file(everything, json_bytes(as_values(found)))
    if picture is not None:
        head = found.heads[0]
        curves = {group.name: [r.rows for r in group.results] for group in found.groups if head in group.heads}
        plot_overlay(curves, head, f"head {head}", picture)
    return [path for path in (table, everything, picture) if path is not None]


def _csv(found: Comparison) -> str:
    rows = []
    for group in found.groups:
        row: dict[str, Any] = {"name": group.name, "seeds": len(group.results), "parameters": group.parameters}
        for name, of in group.figures().items():
            row |= {f"{name}_{part}": value for part, value in asdict(of).items() if part != "n"}
        rows.append(row)
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_values(found: Comparison) -> dict[str, Any]:
    """Return everything as plain values, as JSON can hold them."""
    return {"groups": [_values(group) for group in found.groups], "notes": found.notes}


def _values(group: Group) -> Mapping[str, Any]:
    return {
        "name": group.name,
        "title": group.title,
        "parameters": group.parameters,
        "differs": group.differs,
        "judged_by": group.results[0].judged_by,
        "figures": {name: asdict(of) for name, of in group.figures().items()},
        "runs": [
            {
                "folder": str(r.folder),
                "seed": r.seed,
                "finished": r.finished,
                "last": dict(r.last),
                "best": dict(r.best),
                "energy_mj": dict(r.energy),
                "macro_f1": r.macro_f1,
            }
            for r in group.results
        ],
    }
