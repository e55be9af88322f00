"""An audit as text: rules side by side, layers, a claim, and the paper's Table 5 beside ours."""

import textwrap
from collections.abc import Sequence
from typing import Any

from misnet.audit.bracket import bracket_lines
from misnet.audit.ends import span
from misnet.audit.provenance import maker_lines, origin_lines, price_lines, samples_words
from snncore.opcount.columns import COLUMNS

__all__ = ["audit_lines", "layer_table", "made_lines", "rule_table", "table"]


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


def millions(count: float) -> str:
    """A count in millions."""
    return f"{count / 1e6:,.3f}"


def rule_table(report: dict[str, Any]) -> list[str]:
    """Rules side by side, for one sample."""
    rows = [("rule", "MAC (M)", "AC (M)", "energy (mJ)", "sd", "least", "most", "prices")]
    above = report.get("high", report)["rules"]  # where rates have bounds, the report at their upper ends
    for name, rule in report["rules"].items():
        one, top, of = rule["per_sample"], above[name]["per_sample"], rule.get("spread") or {}
        counts = [span(millions(one[kind]), millions(top[kind])) for kind in ("mac", "ac")]
        energy = span(f"{one['energy_mj']:.4f}", f"{top['energy_mj']:.4f}")
        known = of.get("std") is not None  # of one sample there is none
        spread = (f"{of[key]:.4f}" if known else "" for key in ("std", "least", "most"))
        rows.append((name, *counts, energy, *spread, rule["prices"]))
    dense = report["dense"]
    prices = next(iter(report["rules"].values()))["prices"]
    rows.append(("dense network", millions(dense["mac_per_sample"]), "0.000", _mj(dense, ""), "", "", "", prices))
    step = millions(dense["mac_per_sample_and_timestep"])
    rows.append(("dense, one timestep", step, "0.000", _mj(dense, "_and_timestep"), "", "", "", prices))
    notes = [f"{name}: {note}" for name, rule in report["rules"].items() for note in rule["notes"]]
    if unpriced := report.get("unpriced_per_sample"):
        named = ", ".join(f"{n:,.1f} {name}" for name, n in unpriced.items())
        notes.append(f"no price in exact, for one sample: {named}")
    lines = table(rows)
    for block in (bracket_lines(report), notes):
        lines += ["", *block] if block else []
    return lines


def _mj(dense: dict[str, Any], suffix: str) -> str:
    return f"{dense[f'energy_mj_per_sample{suffix}']:.4f}"


def layer_table(report: dict[str, Any]) -> list[str]:
    """A line for each layer that computes, for one sample."""
    samples = max(1, report["samples"])
    rule = "exact" if "exact" in report["rules"] else next(iter(report["rules"]))
    heading = ("layer", "input rate", "dense MAC (M)", "MAC (M)", "AC binary (M)", "AC graded (M)", "neuron ops (M)")
    rows = [(*heading, "firing rate", f"{rule} (mJ)")]
    for line, above in zip(report["layers"], report.get("high", report)["layers"], strict=True):
        low, top = _layer_cells(line, samples, rule), _layer_cells(above, samples, rule)
        if low or top:
            cells = zip(low or [""] * len(top), top or [""] * len(low), strict=True)
            rows.append((line["layer"], *(span(a or "0", b or "0") if a or b else "" for a, b in cells)))
    return table(rows)


def _layer_cells(line: dict[str, Any], samples: int, rule: str) -> list[str]:
    """Cells of a layer beside its name; none if it computes nothing."""
    counts, energy = line["counts"], line["energy_mj_per_sample"].get(rule, 0)
    neuron = sum(counts.get(name, 0) for name in NEURON_OPS)
    synapse = [counts.get(name, 0) for name in ("dense_mac", "mac", "ac_binary", "ac_graded")]
    if not (energy or any(synapse) or neuron):
        return []
    rate = f"{line['input_rate']:.4f}" if "input_rate" in line else ""
    firing = f"{line['firing_rate']:.4f}" if "firing_rate" in line else ""
    millions_of = [millions(n / samples) if n else "" for n in (*synapse, neuron)]
    return [rate, *millions_of, firing, f"{energy:.3g}"]


def audit_lines(report: dict[str, Any]) -> list[str]:
    """The whole report on one subject: what was audited, its layers, the rules side by side."""
    parameters = "" if report["parameters"] is None else f", {report['parameters']:,} parameters"
    return [
        f"{report['title']}: {samples_words(report)}{parameters}",
        *(f"{name}: {text}" for name, text in origin_lines(report)),
        *(f"warning: {text}" for text in report["warnings"]),
        f"firing rate {_firing(report)}; counts and energies below are for one sample (all timesteps)",
        "",
        *layer_table(report),
        "input rate: entries of the input that are not zero, of all; firing rate: spikes a neuron and timestep",
        "",
        *rule_table(report),
    ]


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
    return span(*(f"{end['firing_rate']:.4f}" for end in (report, report.get("high", report))))
