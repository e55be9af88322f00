"""One run on a page: what it reached, curves, classes, counts and energies, settings, data, versions."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from misnet.audit.figures import figure
from misnet.audit.html_beside import beside_section
from misnet.audit.html_page import prices
from misnet.audit.html_parts import Markup, bars, cell_bar, note, pairs, section, table
from misnet.audit.html_tables import counts_section, layers_section, rates_section, rules_section
from misnet.audit.provenance import origin_lines, samples_words
from misnet.report.charts import Line, charts, line_chart
from misnet.report.confusion import confusion, most_confused
from misnet.training.results import Result, macro_f1
from misnet.training.selection import Row

__all__ = ["RunReport", "epochs_words", "run_sections"]

PART_WORDS = {"train": "training", "val": "validation", "test": "test"}


@dataclass
class RunReport:
    """What is known of a run folder.

    content: its config.json. title: network and data in words. heads: names, the verdict first, with words.
    changed: settings and switches that are not the default. result: its epochs, None before the first is done.
    evaluation: by class, as tools/evaluate.py writes it: "samples", "classes", "confusion". audit: of
    `misnet.audit.report.report`. measured: words on the weights that both are of. missing: sentences on what is not
    here, and why. pictures: PNG files to show.
    """

    folder: Path
    content: Mapping[str, Any]
    title: str
    heads: Mapping[str, str]
    parameters: int
    changed: Mapping[str, Any] = field(default_factory=dict)
    result: Result | None = None
    evaluation: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None
    measured: str = ""
    missing: list[str] = field(default_factory=list)
    pictures: Sequence[Path] = ()

    @property
    def name(self) -> str:
        """Its folder's name; of a seed in a folder of several, with that folder."""
        parts = self.folder.resolve().parts
        return "/".join(parts[-2:]) if parts[-1].startswith("seed-") else parts[-1]

    @property
    def verdict(self) -> str:
        """The head that decides."""
        return next(iter(self.heads))


def epochs_words(run: RunReport) -> str:
    """Return what the run reached in a sentence."""
    if run.result is None:
        return "No epoch of this run is done yet."
    last, best, column = run.result.last, run.result.best, f"test_accuracy_{run.verdict}"
    words = f"{100 * last[column]:.2f} % of the test samples right after epoch {last['epoch']}"
    of = f" of {run.result.epochs}" if run.result.epochs else ""
    judge = PART_WORDS[run.result.judged_by]
    if best is last:
        return f"{words}{of}, the best by its {judge} samples."
    chosen = f"{100 * best[column]:.2f} % in epoch {best['epoch']}, the best by its {judge} samples"
    return f"{words}{of}; {chosen}."


def run_sections(run: RunReport) -> str:
    """Return the sections of a run; those of which nothing is known are left out."""
    parts = [
        _reached(run),
        _classes(run),
        *_counts(run),
        _pictures(run.pictures),
        _settings(run),
        _data(run),
    ]
    return "".join(parts)


def _reached(run: RunReport) -> str:
    if run.result is None:
        return ""
    rows = run.result.rows
    parts = [part for part in PART_WORDS if f"{part}_loss" in rows[0]]
    return section(
        "What it reached",
        _figures(run, run.result, parts),
        charts(*_curves(run, rows, parts)),
        f"<details><summary>Every epoch, as in metrics.csv</summary>{_every(rows)}</details>",
    )


def _figures(run: RunReport, result: Result, parts: Sequence[str]) -> str:
    """Return a table of the last epoch and, where it is another, of the best one."""
    epochs = [(f"last epoch ({result.last['epoch']})", result.last)]
    if result.best is not result.last:
        epochs.append((f"best epoch ({result.best['epoch']})", result.best))

    def cells(column: str, scale: float = 1, end: str = "", digits: int = 4) -> list[str]:
        found = [row.get(f"{part}_{column}") for _, row in epochs for part in parts]
        return ["" if x is None else f"{scale * x:.{digits}f}{end}" for x in found]

    heads = [(f"accuracy, {text}", *cells(f"accuracy_{head}", 100, " %", 2)) for head, text in run.heads.items()]
    heading = [f"{which}, {PART_WORDS[part]}" for which, _ in epochs for part in parts]
    only = note("The last epoch is the best one.") if len(epochs) == 1 else ""
    return table(("", *heading), [*heads, ("loss", *cells("loss")), ("firing rate", *cells("firing_rate"))]) + only


def _curves(run: RunReport, rows: Sequence[Row], parts: Sequence[str]) -> list[str]:
    """Loss, accuracies and firing rates, as curves.png has them."""

    def values(column: str, scale: float = 1) -> list[float]:
        return [scale * row[column] for row in rows]

    loss = [Line(PART_WORDS[part], values(f"{part}_loss"), k, k) for k, part in enumerate(parts)]
    heads = [
        Line(f"{head}, {words}", values(f"test_accuracy_{head}", 100), k, k)
        for k, (head, words) in enumerate(run.heads.items())
    ]
    others = [part for part in parts if part != "test" and f"{part}_accuracy_{run.verdict}" in rows[0]]
    heads += [
        Line(f"{run.verdict}, {PART_WORDS[part]}", values(f"{part}_accuracy_{run.verdict}", 100), 7 + k, 2 + k)
        for k, part in enumerate(others)
    ]
    rates = [
        Line(PART_WORDS[part], values(f"{part}_firing_rate"), k, k)
        for k, part in enumerate(parts)
        if f"{part}_firing_rate" in rows[0]
    ]
    return [
        line_chart("Loss", loss),
        line_chart("Accuracy in percent, of the test samples where not said otherwise", heads, (0, 100)),
        line_chart("Spikes per neuron and timestep", rates),
    ]


def _every(rows: Sequence[Row]) -> str:
    names = [name for name in rows[0] if name != "epoch"]
    lines = [(str(row["epoch"]), *(f"{row[name]:.5g}" for name in names)) for row in rows]
    return table(("epoch", *names), lines, tall=True)


def _classes(run: RunReport) -> str:
    found = run.evaluation
    if found is None:
        return ""
    rows = [
        (
            of["class"],
            of["samples"],
            *(f"{of[name]:.3f}" for name in ("precision", "recall", "f1")),
            cell_bar(of["recall"], 1.0),
        )
        for of in found["classes"]
    ]
    names = [of["class"] for of in found["classes"]]
    return section(
        "Classes",
        note(
            f"By head {run.verdict}, over {found['samples']:,} samples; {run.measured}. Macro F1: "
            f"{macro_f1(found['confusion']):.3f}, the mean over the classes that occur."
        ),
        f'<div class="charts beside">{table(("class", "samples", "precision", "recall", "F1", "recall, bar"), rows)}'
        f"{confusion(found['confusion'], names)}</div>",
        most_confused(found["confusion"], names),
        ""
        if run.audit is not None or not found.get("firing_rates")
        else "<h3>Firing rates</h3>" + bars([(name, {"": x}) for name, x in found["firing_rates"].items()], ""),
    )


def _counts(run: RunReport) -> list[str]:
    if run.audit is None:
        return []
    rate = run.audit["firing_rate"]
    words = "" if rate is None else f"; firing rate {figure(rate)} spikes per neuron and timestep"
    return [
        section(
            "Operations and energy",
            note(f"Counted on {samples_words(run.audit)}; {run.measured}{words}.", ""),
            *(note(f"Warning: {text}", "loud") for text in run.audit["warnings"]),
            pairs([line for line in origin_lines(run.audit) if line[0] in ("weights", "data")]),
        ),
        rules_section(run.audit),
        beside_section(run.audit),
        layers_section(run.audit),
        rates_section(run.audit),
        counts_section(run.audit),
        prices(run.audit),
    ]


def _pictures(files: Sequence[Path]) -> str:
    shown = []
    for file in files:
        content = base64.b64encode(file.read_bytes()).decode()
        name = html.escape(file.name)
        image = f'<img alt="{name}" src="data:image/png;base64,{content}">'
        shown.append(f"<figure><figcaption>{name}</figcaption>{image}</figure>")
    return section("Pictures in the run folder", *shown)


def _listed(values: Mapping[str, Any]) -> str:
    return pairs([(name, _short(value)) for name, value in values.items()])


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_short(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _settings(run: RunReport) -> str:
    content = run.content
    changed = _listed(run.changed) if run.changed else note("Every setting and switch is the default one.")
    every = [
        ("Training", content["settings"]),
        ("Network", content["network"]),
        ("Process", content.get("options", {})),
    ]
    whole = "".join(f"<h3>{name}</h3>{_listed(of)}" for name, of in every if of)
    return section(
        "Configuration",
        note(f"Model {content['model']}, {run.parameters:,} parameters. What was chosen:", ""),
        changed,
        f"<details><summary>Every setting and switch</summary>{whole}</details>",
    )


def _data(run: RunReport) -> str:
    content = run.content
    settings, classes = content["settings"], content.get("class_names", [])
    lines: list[tuple[str, str | Markup]] = [("data set", str(settings.get("dataset", "dialpad")))]
    for part, fingerprint in content.get("data", {}).items():
        lines.append((f"{PART_WORDS.get(part, part)} samples", f"fingerprint {fingerprint}"))
    lines += [(f"{len(classes)} classes", ", ".join(classes))] if classes else []
    versions = [(name, str(value)) for name, value in content.get("versions", {}).items()]
    return section(
        "Data and versions",
        pairs(lines),
        "<h3>Trained with</h3>" + pairs(versions)
        if versions
        else note("The run does not say what it was trained with."),
    )
