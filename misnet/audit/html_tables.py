"""The tables of an audit's page: rules side by side, layers, firing rates, exact counts; all for one sample."""

from collections.abc import Mapping, Sequence
from typing import Any

from misnet.audit.bracket import otherwise
from misnet.audit.ends import span
from misnet.audit.html_parts import bars, cell_bar, heat_table, note, pairs, section, table
from misnet.audit.text import NEURON_OPS
from snncore.opcount.columns import COLUMNS

__all__ = ["counts_section", "energy", "layers_section", "rates_section", "rules_section"]

SIDE_BY_SIDE = ("exact", "exact-memory", "paper")  # columns of the layer table: more do not fit beside the counts
SYNAPSES = {"dense_mac": "dense MAC", "mac": "MAC", "ac_binary": "AC binary", "ac_graded": "AC graded"}

UNITS = {"mJ": 1.0, "uJ": 1e-3, "nJ": 1e-6, "pJ": 1e-9}


def energy(rule: Mapping[str, Any]) -> str:
    """Return the energy of a sample in mJ."""
    return f"{rule['per_sample']['energy_mj']:.4g}"


def _spans(low: Sequence[str], high: Sequence[str]) -> list[str]:
    """Return low to high of each pair of cells; an empty cell beside another is 0."""
    return [span(a or "0", b or "0") if a or b else "" for a, b in zip(low, high, strict=True)]


def spread_cells(rule: Mapping[str, Any]) -> tuple[str, str]:
    """Return standard deviation, and least to most, of the energy over the samples."""
    found = rule.get("spread") or {}
    if found.get("std") is None:  # of one sample there is none
        return "", ""
    return f"{found['std']:.3g}", f"{found['least']:.4g} to {found['most']:.4g}"


def rules_section(report: Mapping[str, Any]) -> str:
    """Return the rules side by side, for one sample, and bars of what their energies consist of."""
    dense, rules = report["dense"], report["rules"]
    above = report.get("high", report)["rules"]  # where rates have bounds, the report at their upper ends
    rows: list[tuple[Any, ...]] = []
    for name, rule in rules.items():
        ends = rule["per_sample"], above[name]["per_sample"]
        counts = [span(*(f"{end[kind] / 1e6:.4g}" for end in ends)) for kind in ("mac", "ac")]
        own, other = span(energy(rule), energy(above[name])), otherwise(rule)
        rows.append((name, *counts, own, "" if other == own else other, *spread_cells(rule), rule["prices"]))
    first = next(iter(rules.values()))["prices"]
    for name, suffix in (("dense network", ""), ("dense, one timestep", "_and_timestep")):
        values = f"{dense[f'mac_per_sample{suffix}'] / 1e6:.4g}", "0", f"{dense[f'energy_mj_per_sample{suffix}']:.4g}"
        rows.append((name, *values, "", "", "", first))
    heading = ("rule", "MAC (M)", "AC (M)", "energy (mJ)", "read otherwise (mJ)", "sd over samples (mJ)")
    heading += ("least to most sample (mJ)", "prices")
    parts = {name: rule["parts_mj_per_sample"] for name, rule in rules.items()}
    memory = [(name, _with_memory(of)) for name, of in parts.items() if any(map(_is_memory, of))]
    computing = [(name, {k: mj for k, mj in of.items() if not _is_memory(k)}) for name, of in parts.items()]
    notes = [note(f"{name}: {text}") for name, rule in rules.items() for text in rule["notes"]]
    return section(
        "Counting rules side by side",
        note("Operations in millions and energies in mJ, all for one sample: every stream, all timesteps."),
        table(heading, rows),
        *notes,
        "<h3>Computation alone</h3>",
        bars(
            [*computing, ("dense network", {"mac": dense["energy_mj_per_sample"]})],
            "mJ",
            max(sum(of.values()) for _, of in computing),
        ),
        "<h3>With the memory of the rules that count it</h3>" + bars(memory, "mJ") if memory else "",
        _readings(rules),
    )


def _is_memory(part: str) -> bool:
    return part.startswith("memory")


def _with_memory(parts: Mapping[str, float]) -> dict[str, float]:
    memory = {name.removeprefix("memory: "): mj for name, mj in parts.items() if _is_memory(name)}
    return {"computation": sum(mj for name, mj in parts.items() if not _is_memory(name)), **memory}


def _readings(rules: Mapping[str, Any]) -> str:
    """Return what hangs on how a run is read, a column a rule, and what each reading means."""
    by_rule = {name: of for name, rule in rules.items() if (of := (rule.get("bracket") or {}).get("readings"))}
    every = {name: reading for of in by_rule.values() for name, reading in of.items()}
    if not every:
        return ""
    rows = [
        (reading["title"], *(f"{100 * of[name]['change']:+.2f} %" if name in of else "" for of in by_rule.values()))
        for name, reading in every.items()
    ]
    words = [(of["title"], f"{of['text']} Source: {of['source']}.") for of in every.values()]
    return (
        "<h3>What hangs on a reading</h3>"
        + note("Change of the energy of each rule if that alone is read otherwise.")
        + table(("reading", *by_rule), rows)
        + f"<details><summary>What each reading means</summary>{pairs(words)}</details>"
    )


def layers_section(report: Mapping[str, Any]) -> str:
    """Return counts and energies of each layer that computes, for one sample, and all rules in a second table."""
    rules, samples = report["rules"], max(1, report["samples"] or 1)
    shown = [name for name in SIDE_BY_SIDE if name in rules] or list(rules)[:3]
    both = list(zip(report["layers"], report.get("high", report)["layers"], strict=True))
    both = [pair for pair in both if _computes(pair[1])]
    top = max((high["energy_mj_per_sample"].get(shown[0], 0.0) for _, high in both), default=0.0)
    unit = next((name for name, mj in UNITS.items() if top >= mj), "pJ")
    rows = []
    for ends in both:
        cells = [_layer_cells(line, shown, unit, samples) for line in ends]
        bar = cell_bar(ends[1]["energy_mj_per_sample"].get(shown[0], 0.0), top)
        rows.append((ends[0]["layer"], bar, *_spans(*cells)))
    heading = ("layer", f"{shown[0]}, bar", *(f"{name} ({unit})" for name in shown), "input rate", "firing rate")
    heading += (*(f"{text} (M)" for text in SYNAPSES.values()), "neuron ops (M)")
    every = []
    for ends in both:
        found = [[_in_unit(line["energy_mj_per_sample"].get(name), unit) for name in rules] for line in ends]
        every.append((ends[0]["layer"], *_spans(*found)))
    more = table(("layer", *(f"{name} ({unit})" for name in rules)), every, tall=True)
    return section(
        "Layers",
        note("Of one sample, all timesteps; operations in millions. Rates: share of entries that are not zero."),
        table(heading, rows, tall=True),
        f"<details><summary>Energy of each layer by every rule</summary>{more}</details>"
        if len(rules) > len(shown)
        else "",
    )


def _computes(line: Mapping[str, Any]) -> bool:
    counted = any(line["counts"].get(name) for name in (*SYNAPSES, *NEURON_OPS))
    return counted or any(line["energy_mj_per_sample"].values())


def _layer_cells(line: Mapping[str, Any], rules: Sequence[str], unit: str, samples: int) -> list[str]:
    counts = line["counts"]
    operations = [*(counts.get(name, 0) for name in SYNAPSES), sum(counts.get(name, 0) for name in NEURON_OPS)]
    return [
        *(_in_unit(line["energy_mj_per_sample"].get(name), unit) for name in rules),
        _rate(line.get("input_rate")),
        _rate(line.get("firing_rate")),
        *(f"{n / samples / 1e6:.4f}" if n else "" for n in operations),
    ]


def _in_unit(mj: float | None, unit: str) -> str:
    return f"{mj / UNITS[unit]:.4f}" if mj else ""


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def rates_section(report: Mapping[str, Any]) -> str:
    """Return the firing rate of each neuron layer at each timestep."""
    rates = [(line["layer"], of) for line in report["layers"] if (of := line.get("firing_rate_by_timestep"))]
    if not rates:
        return ""
    steps = max(len(of) for _, of in rates)
    heading = ("layer", *(f"t={t + 1}" for t in range(steps)))
    rows = [(name, [*of, *[None] * (steps - len(of))]) for name, of in rates]
    return section("Firing rates", note("Spikes per neuron, by timestep."), heat_table(heading, rows))


def counts_section(report: Mapping[str, Any]) -> str:
    """Return every column that counted anything, for one sample."""
    samples = max(1, report["samples"] or 1)
    rows = [
        (name, COLUMNS[name].group, f"{n / samples:,.1f}", COLUMNS[name].text, COLUMNS[name].reading)
        for name in COLUMNS
        if (n := report["totals"][name])
    ]
    of = "as the rates tell it" if report.get("by_rates") else f"the mean of {samples:,}"
    unpriced = ", ".join(f"{name} {n:,.1f}" for name, n in report.get("unpriced_per_sample", {}).items())
    return section(
        "Exact counts",
        note(
            f"For one sample, {of}; the JSON file has the exact integers over all of them. A column "
            "that is another reading of one above is never added to it."
        ),
        table(("column", "group", "for one sample", "what", "another reading of"), rows, tall=True),
        note(f"Without a price in rule exact, for one sample: {unpriced}.") if unpriced else "",
    )
