"""The tables of an audit's page: rules side by side, layers, firing rates, exact counts; all for one sample."""

from collections.abc import Mapping, Sequence
from typing import Any

from misnet.audit.bracket import otherwise, unit_of
from misnet.audit.ends import span
from misnet.audit.figures import COUNT_UNITS, ENERGY_UNITS, count_unit, figure, largest_unit, significant
from misnet.audit.html_parts import bars, cell_bar, heat_table, note, pairs, section, table
from misnet.audit.spread import spread_note
from misnet.audit.text import NEURON_OPS, in_unit
from snncore.opcount.columns import COLUMNS

__all__ = ["counts_section", "energy", "layers_section", "rates_section", "rules_section"]

SIDE_BY_SIDE = ("exact", "exact-memory", "paper")  # columns of the layer table: more do not fit beside the counts
SYNAPSES = {"dense_mac": "dense MAC", "mac": "MAC", "ac_binary": "AC binary", "ac_graded": "AC graded"}


def energy(rule: Mapping[str, Any], unit: str) -> str:
    """Return the energy of a sample."""
    return _in(rule["per_sample"]["energy_mj"], unit)


def _in(mj: float, unit: str) -> str:
    return significant(mj / ENERGY_UNITS[unit])


def _spans(low: Sequence[str], high: Sequence[str]) -> list[str]:
    """Return low to high of each pair of cells; an empty cell beside another is 0."""
    return [span(a or "0", b or "0") if a or b else "" for a, b in zip(low, high, strict=True)]


def spread_cells(rule: Mapping[str, Any], unit: str) -> tuple[str, str]:
    """Return standard deviation, and least to most, of the energy over the samples."""
    found = rule.get("spread") or {}
    if found.get("std") is None:  # of one sample there is none
        return "", ""
    least, most = (_in(found[end], unit) for end in ("least", "most"))
    return significant(found["std"] / ENERGY_UNITS[unit], 3), f"{least} to {most}"


def rules_section(report: Mapping[str, Any]) -> str:
    """Return the rules side by side, for one sample, and bars of what their energies consist of."""
    dense, rules = report["dense"], report["rules"]
    above = report.get("high", report)["rules"]  # where rates have bounds, the report at their upper ends
    unit = unit_of(report)
    most = [dense["mac_per_sample"], *(rule["per_sample"][kind] for rule in above.values() for kind in ("mac", "ac"))]
    size = COUNT_UNITS[of_counts := count_unit(most)]
    rows: list[tuple[Any, ...]] = []
    for name, rule in rules.items():
        ends = rule["per_sample"], above[name]["per_sample"]
        counts = [span(*(significant(end[kind] / size) for end in ends)) for kind in ("mac", "ac")]
        own, other = span(energy(rule, unit), energy(above[name], unit)), otherwise(rule, unit)
        rows.append((name, *counts, own, "" if other == own else other, *spread_cells(rule, unit), rule["prices"]))
    first = next(iter(rules.values()))["prices"]
    for name, suffix in (("dense network", ""), ("dense, one timestep", "_and_timestep")):
        mac, mj = dense[f"mac_per_sample{suffix}"], dense[f"energy_mj_per_sample{suffix}"]
        rows.append((name, significant(mac / size), "0", _in(mj, unit), "", "", "", first))
    energies = ("energy", "read otherwise", "sd over samples", "least to most sample")
    counted = (in_unit(name, of_counts) for name in ("MAC", "AC"))
    heading = ("rule", *counted, *(in_unit(name, unit) for name in energies), "prices")
    parts = {
        name: {part: mj / ENERGY_UNITS[unit] for part, mj in rule["parts_mj_per_sample"].items()}
        for name, rule in rules.items()
    }
    memory = [(name, _with_memory(of)) for name, of in parts.items() if any(map(_is_memory, of))]
    computing = [(name, {k: x for k, x in of.items() if not _is_memory(k)}) for name, of in parts.items()]
    notes = [note(f"{name}: {text}") for name, rule in rules.items() for text in rule["notes"]]
    if said := spread_note(rules, report["samples"]):
        notes.append(note(said))
    return section(
        "Counting rules side by side",
        note("Operations and energies are for one sample: every stream, all timesteps."),
        table(heading, rows),
        *notes,
        "<h3>Computation alone</h3>",
        bars(
            [*computing, ("dense network", {"mac": dense["energy_mj_per_sample"] / ENERGY_UNITS[unit]})],
            unit,
            max(sum(of.values()) for _, of in computing),
        ),
        "<h3>With the memory of the rules that count it</h3>" + bars(memory, unit) if memory else "",
        _readings(rules),
    )


def _is_memory(part: str) -> bool:
    return part.startswith("memory")


def _with_memory(parts: Mapping[str, float]) -> dict[str, float]:
    memory = {name.removeprefix("memory: "): x for name, x in parts.items() if _is_memory(name)}
    return {"computation": sum(x for name, x in parts.items() if not _is_memory(name)), **memory}


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
    unit = largest_unit([top])
    of_counts = count_unit(n / samples for _, high in both for n in _operations(high))
    rows = []
    for ends in both:
        cells = [_layer_cells(line, shown, unit, samples * COUNT_UNITS[of_counts]) for line in ends]
        bar = cell_bar(ends[1]["energy_mj_per_sample"].get(shown[0], 0.0), top)
        rows.append((ends[0]["layer"], bar, *_spans(*cells)))
    heading = ("layer", f"{shown[0]}, bar", *(f"{name} ({unit})" for name in shown), "input rate", "firing rate")
    heading += tuple(in_unit(text, of_counts) for text in (*SYNAPSES.values(), "neuron ops"))
    every = []
    for ends in both:
        found = [[_in_unit(line["energy_mj_per_sample"].get(name), unit) for name in rules] for line in ends]
        every.append((ends[0]["layer"], *_spans(*found)))
    more = table(("layer", *(f"{name} ({unit})" for name in rules)), every, tall=True)
    return section(
        "Layers",
        note("Of one sample, all timesteps. Rates: share of entries that are not zero."),
        table(heading, rows, tall=True),
        f"<details><summary>Energy of each layer by every rule</summary>{more}</details>"
        if len(rules) > len(shown)
        else "",
    )


def _computes(line: Mapping[str, Any]) -> bool:
    counted = any(line["counts"].get(name) for name in (*SYNAPSES, *NEURON_OPS))
    return counted or any(line["energy_mj_per_sample"].values())


def _operations(line: Mapping[str, Any]) -> list[int]:
    counts = line["counts"]
    return [*(counts.get(name, 0) for name in SYNAPSES), sum(counts.get(name, 0) for name in NEURON_OPS)]


def _layer_cells(line: Mapping[str, Any], rules: Sequence[str], unit: str, size: float) -> list[str]:
    return [
        *(_in_unit(line["energy_mj_per_sample"].get(name), unit) for name in rules),
        _rate(line.get("input_rate")),
        _rate(line.get("firing_rate")),
        *(figure(n / size) if n else "" for n in _operations(line)),
    ]


def _in_unit(mj: float | None, unit: str) -> str:
    return figure(mj / ENERGY_UNITS[unit]) if mj else ""


def _rate(value: float | None) -> str:
    return "" if value is None else figure(value)


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
        (name, COLUMNS[name].group, figure(n / samples, 1), COLUMNS[name].text, COLUMNS[name].reading)
        for name in COLUMNS
        if (n := report["totals"][name])
    ]
    of = "as the rates tell it" if report.get("by_rates") else f"the mean of {samples:,}"
    unpriced = ", ".join(f"{name} {figure(n, 1)}" for name, n in report.get("unpriced_per_sample", {}).items())
    return section(
        "Exact counts",
        note(
            f"For one sample, {of}; the JSON file has the exact integers over all of them. A column "
            "that is another reading of one above is never added to it."
        ),
        table(("column", "group", "for one sample", "what", "another reading of"), rows, tall=True),
        note(f"Without a price in rule exact, for one sample: {unpriced}.") if unpriced else "",
    )
