"""One run, or several side by side, as an HTML page that needs nothing else."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from misnet.audit.figures import ENERGY_UNITS, energy_unit, significant
from misnet.audit.html_page import answer
from misnet.audit.html_parts import bars, document, note, pairs, section, table
from misnet.audit.provenance import maker_lines
from misnet.audit.runs import cells, side_by_side
from misnet.report.charts import Line, charts, line_chart, mean_of
from misnet.report.run import RunReport, epochs_words, run_sections
from misnet.training.results import spread

__all__ = ["Group", "report_page"]


@dataclass
class Group:
    """Runs that differ in the seed alone, under one name; all have an epoch done."""

    name: str
    runs: Sequence[RunReport]


def report_page(
    runs: Sequence[RunReport],
    made: Mapping[str, Any],
    groups: Sequence[Group] = (),
    lines: Sequence[Sequence[str]] = (),
    words: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return the page.

    made: of `misnet.audit.provenance.made_by`. groups: those of several runs, with a table of them, `lines`, whose
    first is the heading; words: on the table. notes: on what stands in the way of comparing.
    """
    titles = dict.fromkeys(run.title for run in runs)
    title = next(iter(titles)) if len(runs) == 1 else f"{len(runs)} runs: {'; '.join(titles)}"
    if len(runs) == 1:
        (run,) = runs
        body = [*_missing(run), note(epochs_words(run), "answer"), *_energy(run), run_sections(run)]
    else:
        body = [*_all_missing(runs), *_beside(groups, lines, words, notes), _each(runs)]
    return document(
        title,
        f"<h1>{html.escape(title)}</h1>",
        pairs([("folder", str(runs[0].folder)), ("seed", _seed(runs[0]))]) if len(runs) == 1 else "",
        *body,
        section("This page", pairs(maker_lines({"provenance": made}))),
    )


def _seed(run: RunReport) -> str:
    return str(run.content["settings"].get("seed", 0))


def _missing(run: RunReport) -> list[str]:
    return [note(text, "loud") for text in run.missing]


def _all_missing(runs: Sequence[RunReport]) -> list[str]:
    """What is missing, each sentence once, with the runs that it is said of."""
    said: dict[str, list[str]] = {}
    for run in runs:
        for text in run.missing:
            said.setdefault(text, []).append(run.name)
    return [note(f"{', '.join(names)}: {text}", "loud") for text, names in said.items()]


def _energy(run: RunReport) -> list[str]:
    if run.audit is None:
        return []
    rules = run.audit["rules"]
    name = "exact" if "exact" in rules else next(iter(rules))
    return [note(answer(name, run.audit), "")]


def _beside(
    groups: Sequence[Group], lines: Sequence[Sequence[str]], words: Sequence[str], notes: Sequence[str]
) -> list[str]:
    if not groups:
        return []
    heading, *rows = lines
    parts = [
        note(f"{text[0].upper()}{text[1:]}." if (text := " ".join(words)) else ""),
        table(heading, rows),
        *(note(f"Note: {text}.", "") for text in notes),
        charts(*_curves(groups)),
    ]
    audited = [run for group in groups for run in group.runs if run.audit is not None]
    shown = section("Side by side", *parts)
    energies = [_energies(group, many=len(groups) > 1) for group in groups]
    return [shown, section("Energies", _by_group(groups), *energies, _bars(audited))]


def _curves(groups: Sequence[Group]) -> list[str]:
    """Training loss, test accuracy of the first head, firing rate: a thick line a group, thin ones for its seeds."""
    head = groups[0].runs[0].verdict
    columns = (
        ("train_loss", "Training loss", 1, None),
        (f"test_accuracy_{head}", f"Test accuracy in percent, head {head}", 100, (0.0, 100.0)),
        ("test_firing_rate", "Spikes per neuron and timestep, test", 1, None),
    )
    figures = []
    for column, title, scale, whole in columns:
        drawn = []
        for k, group in enumerate(groups):
            rows = [run.result.rows for run in group.runs if run.result]
            if any(column not in of[0] for of in rows):
                continue  # another model, whose heads have other names
            seeds = [[scale * row[column] for row in of] for of in rows]
            drawn += [Line("", values, k, k, thin=True) for values in seeds] if len(seeds) > 1 else []
            drawn.append(Line(group.name, mean_of(seeds), k, k))
        figures.append(line_chart(title, drawn, whole))
    return figures


def _by_group(groups: Sequence[Group]) -> str:
    """Return a table of the energy of a sample by every rule, a column for each of several groups."""
    found = [[run.audit["rules"] for run in group.runs if run.audit is not None] for group in groups]
    audited = [(group.name, rules) for group, rules in zip(groups, found, strict=True) if rules]
    if len(audited) < 2:
        return ""
    names = dict.fromkeys(name for _, rules in audited for of in rules for name in of)
    values = {
        name: [[of[name]["per_sample"]["energy_mj"] for of in rules if name in of] for _, rules in audited]
        for name in names
    }
    unit = energy_unit(x for row in values.values() for of in row for x in of)

    def cell(energies: Sequence[float]) -> str:
        if not energies:
            return "-"
        of = spread([mj / ENERGY_UNITS[unit] for mj in energies])
        return significant(of.mean) + ("" if of.std is None else f" +- {significant(of.std, 2)}")

    rows = [(name, *map(cell, row)) for name, row in values.items()]
    words = f"Of one sample, in {unit}: the mean of the runs of a line +- their standard deviation."
    return note(words) + table(("rule", *(name for name, _ in audited)), rows)


def _energies(group: Group, many: bool) -> str:
    """Return a table of the audits of a group: accuracies and the energy by every rule, with mean and deviation."""
    reports = [run.audit for run in group.runs if run.audit is not None]
    if len(reports) < 2:
        return ""
    try:
        found = side_by_side([dict(report) for report in reports])
    except ValueError as error:
        return note(f"{group.name}: {error}")
    heading, *rows = cells(found)
    name = f"<h3>{html.escape(group.name)}</h3>" if many else ""
    notes = [note(f"{text[0].upper()}{text[1:]}.") for text in found["notes"]]
    return name + table(heading, rows) + "".join(notes)


def _bars(runs: Sequence[RunReport]) -> str:
    """Return what the energy of a sample consists of, by the first rule that all runs were read by."""
    every = [(run.name, run.audit["rules"]) for run in runs if run.audit is not None]
    rules = [name for name in (every[0][1] if every else ()) if all(name in rules for _, rules in every)]
    if len(every) < 2 or not rules:
        return ""
    rule = "exact" if "exact" in rules else rules[0]
    unit = energy_unit(rules[rule]["per_sample"]["energy_mj"] for _, rules in every)
    of_rule = [(name, rules[rule]["parts_mj_per_sample"]) for name, rules in every]
    parts = [(name, {part: mj / ENERGY_UNITS[unit] for part, mj in of.items()}) for name, of in of_rule]
    return f"<h3>Rule {rule}, for one sample</h3>" + bars(parts, unit)


def _each(runs: Sequence[RunReport]) -> str:
    shown = []
    for run in runs:
        summary = f"<summary>{html.escape(f'{run.name}: {run.title}. {epochs_words(run)}')}</summary>"
        where = pairs([("folder", str(run.folder)), ("seed", _seed(run))])
        shown.append(f"<details>{summary}{where}{''.join(_missing(run))}{run_sections(run)}</details>")
    return section("Each run", *shown)
