"""Audits of several trainings side by side: accuracy beside energy, and how both are spread over the trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from misnet.audit.figures import ENERGY_UNITS, energy_unit, significant
from misnet.audit.latex import escape, tabular
from misnet.audit.provenance import SCHEMA, made_by, origin_lines, samples_words
from misnet.audit.text import made_lines, table
from misnet.training.results import spread
from snncore.files import sha256_of

__all__ = ["Row", "check_trainings", "figures", "run_lines", "runs_latex", "side_by_side", "unit_of_runs"]

MJ = " (mJ)"  # at the end of a name: an energy
NO_MATTER = {"seed", "data_dir", "recipe"}  # settings in which trainings of one network may differ

Row = tuple[str, list[float | None], int | None]
"""A figure: its name with unit, its value in each run, digits behind the point; None for four that count."""


def side_by_side(reports: Sequence[dict[str, Any]], command: str = "") -> dict[str, Any]:
    """Return the reports of several runs, and mean and standard deviation of their figures.

    reports: of `misnet.audit.report.report`. `spread` is None where the runs are no trainings of one network on the
    same data, and `notes` say in what they differ. Raises ValueError for fewer than two, or the same weights twice.
    """
    names = _names(reports)
    _check_each_once(names, [report["weights_sha256"] or name for name, report in zip(names, reports, strict=True)])
    notes, own_samples = _differences(reports), _own_samples(reports)
    rows = [] if notes else [(name, values) for name, values, _ in figures(reports) if None not in values]
    return {
        "schema": SCHEMA,
        "provenance": made_by(command) | {"device": reports[0]["provenance"]["device"]},
        "title": f"{len(reports)} different runs" if notes else f"{len(reports)} runs: {reports[0]['title']}",
        "names": names,
        "notes": [*(f"{note}; no mean is taken" for note in notes), *own_samples],
        "spread": None if notes else {name: asdict(spread(values)) for name, values in rows},
        "runs": list(reports),
    }


def check_trainings(weights: Sequence[Path]) -> None:
    """Raise ValueError, before anything is counted, for fewer than two files, or for the same weights twice."""
    _check_each_once([str(path) for path in weights], [sha256_of(path) if path.is_file() else path for path in weights])


def _check_each_once(names: Sequence[str], keys: Sequence[Any]) -> None:
    if len(names) < 2:
        raise ValueError(f"expected at least two, found {len(names)}")
    seen: dict[Any, str] = {}
    for name, key in zip(names, keys, strict=True):
        if key in seen:
            raise ValueError(f"{name} has the very weights of {seen[key]}; expected each training once")
        seen[key] = name


def _names(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    folders = [report["run"].get("folder", report["weights"]) for report in reports]
    short = [PurePath(folder).name for folder in folders]
    return short if len({*short}) == len(short) else folders


def _differences(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each thing in which the runs differ that trainings of one network share."""
    settings = [{k: v for k, v in r["run"].get("settings", {}).items() if k not in NO_MATTER} for r in reports]
    data = [{"data": r["data"].get("name"), "split": r["data"].get("split"), "samples": r["samples"]} for r in reports]
    epochs = [{"epochs done": r["run"].get("epochs")} for r in reports]
    notes = []
    for what, found in (
        ("network", [r["network"] for r in reports]),
        ("training", settings),
        ("samples", data),
        ("state", epochs),
    ):
        names = dict.fromkeys(name for one in found for name in one)
        differing = [name for name in names if any(one.get(name) != found[0].get(name) for one in found)]
        if differing:
            notes.append(f"the runs differ in their {what}: {', '.join(differing)}")
    prints = [(_data_seed(r), r["data"].get("fingerprint")) for r in reports]
    if len({seed for seed, _ in prints}) < len({*prints}):
        notes.append("runs of one seed of the data were counted on other samples")
    return notes


def _own_samples(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    prints = {r["data"].get("fingerprint") for r in reports}
    return ["each run was counted on the samples that its own seed draws"] if len(prints) > 1 else []


def _data_seed(report: Mapping[str, Any]) -> Any:
    settings = report["run"].get("settings", {})
    return settings.get("seed") if settings.get("data_seed") is None else settings["data_seed"]


def figures(reports: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return accuracies, firing rate, and the energy by each rule that all runs were read by."""
    heads = dict.fromkeys(head for report in reports for head in report["accuracy"])
    rules = [name for name in reports[0]["rules"] if all(name in report["rules"] for report in reports)]
    percent = [[None if (x := r["accuracy"].get(head)) is None else 100 * x for r in reports] for head in heads]
    rows: list[Row] = [(f"accuracy {head} (%)", of, 2) for head, of in zip(heads, percent, strict=True)]
    rates = [report["firing_rate"] for report in reports]
    rows += [("firing rate", rates, 4)] if any(rate is not None for rate in rates) else []  # of neurons, if any
    for name in rules:
        rows.append((f"{name}{MJ}", [r["rules"][name]["per_sample"]["energy_mj"] for r in reports], None))
    return rows


def number(value: float, digits: int | None, count: int = 4) -> str:
    """Return a value with digits behind the point, or with as many as count."""
    return significant(value, count) if digits is None else f"{value:.{digits}f}"


def unit_of_runs(found: Mapping[str, Any]) -> str:
    """Return the unit in which the energies of the runs are shown."""
    return energy_unit(x for name, of, _ in figures(found["runs"]) if name.endswith(MJ) for x in of if x is not None)


def cells(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the table: a heading, seeds and epochs, then a row a figure with its value in each run, mean, sd and n."""
    reports, spreads, unit = found["runs"], found["spread"], unit_of_runs(found)
    end = [] if spreads is None else ["mean", "sd", "n"]
    rows = [["figure", *found["names"], *end]]
    for name in ("seed", "epochs"):
        values = [report["run"].get(name) for report in reports]
        rows.append([name, *("" if x is None else str(x) for x in values), *[""] * len(end)])
    for name, values, digits in figures(reports):
        size = ENERGY_UNITS[unit] if name.endswith(MJ) else 1.0
        shown = f"{name.removesuffix(MJ)} ({unit})" if name.endswith(MJ) else name
        row = [shown, *("" if x is None else number(x / size, digits) for x in values)]
        of = (spreads or {}).get(name)
        mean_and_sd = [number(of["mean"] / size, digits), number(of["std"] / size, digits, 2)] if of else []
        row += [*mean_and_sd, str(of["n"])] if of else [""] * len(end)
        rows.append(row)
    return rows


def run_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the runs side by side as text."""
    reports = found["runs"]
    tables = {name: of for report in reports for name, of in report["price_tables"].items()}
    return [
        found["title"],
        *(f"note: {text}" for text in found["notes"]),
        *(f"warning: {report['title']}: {text}" for report in reports for text in report["warnings"]),
        "",
        *table(cells(found)),
        "",
        f"energies in {unit_of_runs(found)} for one sample; mean and standard deviation (sd) over the n trainings",
        "",
        *(
            f"{run}, {what}: {text}"
            for run, r in zip(found["names"], reports, strict=True)
            for what, text in origin_lines(r)
        ),
        *made_lines({"provenance": found["provenance"], "network": reports[0]["network"], "price_tables": tables}),
    ]


def runs_latex(found: Mapping[str, Any]) -> str:
    """Return the table for LaTeX."""
    first, version = found["runs"][0], found["provenance"]["versions"]["snncore"]
    tables = ", ".join(dict.fromkeys(rule["prices"] for report in found["runs"] for rule in report["rules"].values()))
    steps = f"T={first['timesteps']}"
    more = "" if steps in found["title"] else f"{steps}, "
    text = f"{found['title']}. {more}{samples_words(first)} each. Prices: {tables}. snncore {version}."
    heading, *rows = cells(found)
    notes = "".join(f" {text[0].upper()}{text[1:]}." for text in found["notes"])
    return tabular(heading, rows, escape(text + notes), "tab:runs", found["provenance"])
