"""An audit as text: rules side by side, layers, a claim, and the paper's Table 5 beside ours."""

import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

from misnet.audit.bracket import bracket_lines, unit_of
from misnet.audit.ends import span
from misnet.audit.figures import COUNT_UNITS, ENERGY_UNITS, count_unit, figure, largest_unit
from misnet.audit.provenance import maker_lines, origin_lines, price_lines, samples_words
from misnet.audit.spread import spread_note
from snncore.energy import ON_REQUEST, RULES
from snncore.opcount.columns import COLUMNS

__all__ = ["audit_lines", "brief_lines", "layer_table", "made_lines", "rule_lines", "rule_table", "table"]


NEURON_OPS = tuple(
    name for name, column in COLUMNS.items() if column.group in ("neuron", "mlif") and not column.reading
)
"""What neurons do: every column of theirs, so that a new kind of neuron leaves none out, and none read twice."""


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines of aligned columns, the first to the left; the first row is the heading."""
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(wide[0]), *(text.rjust(n) for text, n in zip(row[1:], wide[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def in_unit(name: str, unit: str) -> str:
    """A heading with the unit of its column, if it has one."""
    return f"{name} ({unit})" if unit else name


def rule_table(report: dict[str, Any]) -> list[str]:
    """Rules side by side, for one sample."""
    above = report.get("high", report)["rules"]  # where rates have bounds, the report at their upper ends
    dense, unit = report["dense"], unit_of(report)
    most = [dense["mac_per_sample"], *(rule["per_sample"][kind] for rule in above.values() for kind in ("mac", "ac"))]
    of_counts = count_unit(most)

    def count(n: float) -> str:
        return figure(n / COUNT_UNITS[of_counts], 3)

    def energy(mj: float) -> str:
        return figure(mj / ENERGY_UNITS[unit])

    heading = (*(in_unit(name, of_counts) for name in ("MAC", "AC")), in_unit("energy", unit))
    rows = [("rule", *heading, "sd", "least", "most", "prices")]
    for name, rule in report["rules"].items():
        one, top = rule["per_sample"], above[name]["per_sample"]
        counts = [span(count(one[kind]), count(top[kind])) for kind in ("mac", "ac")]
        spread, wide = rule.get("spread") or {}, above[name].get("spread") or {}
        known = spread.get("std") is not None  # of one sample there is none
        of_samples = [energy(of[key]) for of, key in ((spread, "std"), (spread, "least"), (wide, "most")) if known]
        cells = span(energy(one["energy_mj"]), energy(top["energy_mj"])), *(of_samples or [""] * 3)
        rows.append((name, *counts, *cells, rule["prices"]))
    prices = next(iter(report["rules"].values()))["prices"]
    for name, suffix in (("dense network", ""), ("dense, one timestep", "_and_timestep")):
        cells = count(dense[f"mac_per_sample{suffix}"]), count(0), energy(dense[f"energy_mj_per_sample{suffix}"])
        rows.append((name, *cells, "", "", "", prices))
    notes = [f"{name}: {note}" for name, rule in report["rules"].items() for note in rule["notes"]]
    if said := spread_note(report["rules"], report["samples"]):
        notes.append(said)
    if unpriced := report.get("unpriced_per_sample"):
        named = ", ".join(f"{n:,.1f} {name}" for name, n in unpriced.items())
        notes.append(f"no price in exact, for one sample: {named}")
    lines = table(rows)
    for block in (bracket_lines(report), notes):
        lines += ["", *block] if block else []
    return lines


def layer_table(report: dict[str, Any]) -> list[str]:
    """A line for each layer that computes, for one sample."""
    rule = "exact" if "exact" in report["rules"] else next(iter(report["rules"]))
    above = report.get("high", report)["layers"]
    samples = max(1, report["samples"] or 1)
    ends = [[_layer_figures(line, samples, rule) for line in of] for of in (report["layers"], above)]
    most = [figures for figures in ends[1] if figures]
    of_counts = count_unit(max(counts) for _, counts, _, _ in most)
    unit = largest_unit(energy for _, _, _, energy in most)
    heading = [in_unit(name, of_counts) for name in ("dense MAC", "MAC", "AC binary", "AC graded", "neuron ops")]
    rows = [("layer", "input rate", *heading, "firing rate", in_unit(rule, unit))]
    for line, *of in zip(report["layers"], *ends, strict=True):
        low, top = (_layer_cells(figures, COUNT_UNITS[of_counts], ENERGY_UNITS[unit]) for figures in of)
        if low or top:
            cells = zip(low or [""] * len(top), top or [""] * len(low), strict=True)
            rows.append((line["layer"], *(span(a or "0", b or "0") if a or b else "" for a, b in cells)))
    return table(rows)


LayerFigures = tuple[float | None, list[float], float | None, float]
"""Input rate, counts and firing rate of a layer, and its energy in mJ."""


def _layer_figures(line: dict[str, Any], samples: int, rule: str) -> LayerFigures | None:
    """Figures of a layer, for one sample; None if it computes nothing."""
    counts, energy = line["counts"], line["energy_mj_per_sample"].get(rule, 0)
    neuron = sum(counts.get(name, 0) for name in NEURON_OPS)
    synapse = [counts.get(name, 0) for name in ("dense_mac", "mac", "ac_binary", "ac_graded")]
    if not (energy or any(synapse) or neuron):
        return None
    return line.get("input_rate"), [n / samples for n in (*synapse, neuron)], line.get("firing_rate"), energy


def _layer_cells(figures: LayerFigures | None, count: float, energy: float) -> list[str]:
    """Cells of a layer beside its name, in units of so many operations and so many mJ; none if it computes nothing."""
    if figures is None:
        return []
    rate, counts, firing, mj = figures
    rates = ["" if x is None else figure(x) for x in (rate, firing)]
    return [rates[0], *(figure(n / count, 3) if n else "" for n in counts), rates[1], f"{mj / energy:.3g}"]


def audit_lines(report: dict[str, Any], beside: Sequence[str] = ()) -> list[str]:
    """The whole report on one subject: what was audited, rules side by side, what stands beside them, layers."""
    parameters = "" if report["parameters"] is None else f", {report['parameters']:,} parameters"
    return [
        f"{report['title']}: {samples_words(report)}{parameters}",
        *(f"{name}: {text}" for name, text in origin_lines(report)),
        *(f"warning: {text}" for text in report["warnings"]),
        f"{_firing(report)}counts and energies below are for one sample (all timesteps)",
        "",
        *rule_table(report),
        "",
        *(beside and [*beside, ""]),
        *layer_table(report),
        "input rate: entries of the input that are not zero, of all; firing rate: spikes a neuron and timestep",
    ]


def brief_lines(report: dict[str, Any]) -> list[str]:
    """What was audited in a line, and the rules side by side."""
    return [f"{report['title']}: {samples_words(report)}", *rule_table(report)]


def rule_lines(names: Sequence[str]) -> list[str]:
    """What each rule counts, in the words of its docstring."""
    known = RULES | ON_REQUEST
    return [line for name in names for line in ("", f"{name}:", *(inspect.getdoc(known[name]) or "").splitlines())]


def made_lines(report: dict[str, Any]) -> list[str]:
    """What made the report: command, date, software, machine, the settings of the network, every price."""
    settings = ", ".join(f"{key}={value}" for key, value in report["network"].items())
    return [
        *(f"{name}: {text}" for name, text in maker_lines(report)),
        *(wrapped(f"network: {settings}") if settings else []),
        *(line for text in price_lines(report["price_tables"]) for line in wrapped(text)),
    ]


def wrapped(text: str) -> list[str]:
    """A long text as lines of at most 120 letters, all but the first indented."""
    return textwrap.wrap(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _firing(report: dict[str, Any]) -> str:
    """The firing rate, where there are neurons that have one."""
    rates = [end["firing_rate"] for end in (report, report.get("high", report))]
    return "" if None in rates else f"firing rate {span(*map(figure, rates))}; "
