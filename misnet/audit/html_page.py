"""An audit as one HTML page that needs nothing else: what was audited, tables and bars, prices, how to cite it."""

import html
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from misnet.audit.bracket import otherwise, unit_of
from misnet.audit.citation import bibtex
from misnet.audit.figures import figure
from misnet.audit.html_beside import beside_section, claims_section
from misnet.audit.html_parts import Markup, document, note, pairs, prose, section, table
from misnet.audit.html_tables import (
    counts_section,
    energy,
    layers_section,
    rates_section,
    rules_section,
)
from misnet.audit.provenance import maker_lines, origin_lines, samples_words
from snncore.energy import ON_REQUEST, RULES

__all__ = ["answer", "foot", "origin", "page", "prices"]


def prices(report: Mapping[str, Any]) -> str:
    """Return every price of every table that was used, with its unit and source."""
    tables = report["price_tables"]
    sizes = sorted({step["bytes"] for of in tables.values() for step in of["memory"]["sram"]})
    names = {"mac": "multiply-accumulate", "add": "addition", "mul": "multiplication", "compare": "comparison"}
    names |= {"special": "exponential, sigmoid"}

    def row(what: str, values: Sequence[float | None]) -> tuple[Any, ...]:
        return (what, *("no price" if x is None else f"{x:g}" for x in values))

    rows = [row(f"{text} (pJ)", [of["operation"].get(key) for of in tables.values()]) for key, text in names.items()]
    rows.append(row("bytes of a memory access", [of["memory"]["access_bytes"] for of in tables.values()]))
    for size in sizes:
        found = [{s["bytes"]: s["access"] for s in of["memory"]["sram"]}.get(size) for of in tables.values()]
        rows.append(row(f"SRAM of {size:,.0f} bytes, an access (pJ)", found))
    rows.append(row("DRAM, an access (pJ)", [of["memory"]["dram_access"] for of in tables.values()]))
    sources = [(name, f"{of['process']}. {of['source']}") for name, of in tables.items()]
    return section("Prices", table(("price", *tables), rows), pairs(sources))


def origin(report: Mapping[str, Any]) -> str:
    """Return what was audited, by whom it was trained and what counted it."""
    lines: list[tuple[str, str | Markup]] = [
        (name, Markup(f"<code>{html.escape(text)}</code>") if name == "command" else text)
        for name, text in (*origin_lines(report), *maker_lines(report))
    ]
    settings = (("network", report["network"]), ("training", report.get("run", {}).get("settings", {})))
    listed = [(name, ", ".join(f"{k}={v}" for k, v in of.items())) for name, of in settings if of]
    features = report["provenance"]["cpu"]
    return section(
        "What was audited",
        pairs(lines),
        f"<details><summary>Settings of the network and of its training</summary>{pairs(listed)}</details>",
        f"<details><summary>Features of the CPU</summary>{note(features)}</details>",
    )


def foot(report: Mapping[str, Any]) -> str:
    """Return how to cite the page and have it again."""
    command = report["provenance"]["command"]
    again = f"<p>This page again:</p><pre>{html.escape(command)}</pre>" if command else ""
    return section("Citing", f"<pre>{html.escape(bibtex())}</pre>", again)


def answer(name: str, report: Mapping[str, Any]) -> str:
    """Return the figure of a rule in a sentence."""
    rule, unit = report["rules"][name], unit_of(report)
    more = f" ({between} if read otherwise)" if (between := otherwise(rule, unit)) else ""
    return f"{energy(rule, unit)} {unit} for one sample by rule {name}{more}"


def _firing(rate: float | None) -> str:
    """Return the firing rate in words; nothing where there are no neurons."""
    return "" if rate is None else f"; firing rate {figure(rate)} spikes per neuron and timestep"


def page(title: str, report: dict[str, Any], claim: Sequence[str] = ()) -> str:
    """Return the page. report: of `misnet.audit.report.report`. claim: lines about a claim, if there is one."""
    parameters = "" if report["parameters"] is None else f", {report['parameters']:,} parameters"
    rule = "exact" if "exact" in report["rules"] else next(iter(report["rules"]))
    untrained = "Not trained: these rates and energies are of fresh weights, and say little about a trained network."
    known = RULES | ON_REQUEST
    rule_texts = "".join(
        f"<details><summary>{name}</summary>{prose(inspect.getdoc(known[name]) or '')}</details>"
        for name in report["rules"]
    )
    return document(
        title,
        f"<h1>{html.escape(title)}</h1>",
        note(untrained, "loud") if report.get("trained") is False else "",
        *(note(f"Warning: {text}", "loud") for text in report["warnings"]),
        note(answer(rule, report), "answer"),
        note(f"{samples_words(report)}, T={report['timesteps']}{parameters}{_firing(report['firing_rate'])}", ""),
        origin(report),
        rules_section(report),
        beside_section(report),
        claims_section(report.get("claims", ()), claim),
        layers_section(report),
        rates_section(report),
        counts_section(report),
        section("What each rule counts", rule_texts),
        prices(report),
        foot(report),
    )
