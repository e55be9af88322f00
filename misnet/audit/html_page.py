"""An audit as one HTML page that needs nothing else: tables, and the pictures inside it."""

import base64
import html
from collections.abc import Sequence
from typing import Any

from misnet.audit.plots import plot_energy_by_layer, plot_energy_by_rule, plot_rates
from snncore.energy import ON_REQUEST, RULES
from snncore.opcount.columns import COLUMNS

__all__ = ["page"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-size: 0.82rem; } th, td { padding: 0.15rem 0.6rem; text-align: right; }
th { border-bottom: 1px solid #999; } td:first-child, th:first-child, td.text { text-align: left; }
tbody tr:nth-child(even) { background: #f5f5f5; } img { max-width: 100%; } pre { white-space: pre-wrap; }
.wide { overflow-x: auto; } .small { font-size: 0.82rem; color: #555; }
"""


def _table(heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heading)
    body = "".join(
        "<tr>" + "".join(f"<td{_kind(cell)}>{html.escape(_text(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(cell: Any) -> str:
    return ' class="text"' if isinstance(cell, str) else ""


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _picture(content: bytes, text: str) -> str:
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def page(title: str, report: dict[str, Any], claim: Sequence[str] = ()) -> str:
    """Return the page. report: of `misnet.audit.report.report`. claim: lines about a claim, if there is one."""
    samples = max(1, report["samples"])
    rules = [
        (name, rule["per_sample"]["mac"] / 1e6, rule["per_sample"]["ac"] / 1e6, rule["per_sample"]["energy_mj"])
        for name, rule in report["rules"].items()
    ]
    dense = report["dense"]
    rules.append(("dense network", dense["mac_per_sample"] / 1e6, 0.0, dense["energy_mj_per_sample"]))
    rules.append(
        (
            "dense network, one timestep",
            dense["mac_per_sample_and_timestep"] / 1e6,
            0.0,
            dense["energy_mj_per_sample_and_timestep"],
        )
    )
    names = list(report["rules"])
    layers = [
        (
            line["layer"],
            line.get("input_rate"),
            *(line["counts"].get(name) for name in ("dense_mac", "mac", "ac_binary", "ac_graded")),
            line.get("firing_rate"),
            *(line["energy_mj_per_sample"].get(name) for name in names),
        )
        for line in report["layers"]
    ]
    totals = [
        (name, COLUMNS[name].group, report["totals"][name], COLUMNS[name].text, COLUMNS[name].reading)
        for name in COLUMNS
        if report["totals"][name]
    ]
    rates = [line for line in report["layers"] if line.get("firing_rate_by_timestep")]
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{report['samples']:,} samples, {report['timesteps']} timesteps; energies are for one sample. Firing rate "
        f"{report['firing_rate']:.4f} spikes per neuron and timestep.</p>",
        "<h2>Counting rules side by side</h2>",
        _table(("rule", "MAC (M)", "AC (M)", "energy (mJ)"), rules),
        _picture(plot_energy_by_rule(report), "energy by rule"),
    ]
    notes = [f"{name}: {note}" for name, rule in report["rules"].items() for note in rule["notes"]]
    sections += [f'<p class="small">{html.escape(note)}</p>' for note in notes]
    if claim:
        sections += ["<h2>The claim</h2>", f"<pre>{html.escape(chr(10).join(claim))}</pre>"]
    heading = ("layer", "input rate", "dense MAC", "MAC", "AC binary", "AC graded", "firing rate")
    sections += [
        "<h2>Layers</h2>",
        f'<p class="small">Counts are exact sums over {samples:,} samples; energies in mJ for one sample.</p>',
        _table((*heading, *names), layers),
        _picture(plot_energy_by_layer(report), "energy by layer"),
    ]
    if rates:
        sections += ["<h2>Firing rates</h2>", _picture(plot_rates(report), "firing rate by layer and timestep")]
    sections += [
        "<h2>Exact counts</h2>",
        f'<p class="small">Sums over {samples:,} samples. Columns that read the same operations in another way name '
        "those: never add them.</p>",
        _table(("column", "group", "count", "what", "another reading of"), totals),
        "<h2>What each rule counts</h2>",
        *(f"<h3>{name}</h3><pre>{html.escape(_rule_text(name))}</pre>" for name in names),
        "<h2>Prices</h2>",
        *(
            f"<p><b>{html.escape(name)}</b>: {html.escape(of['process'])}. {html.escape(of['source'])}</p>"
            for name, of in report["price_tables"].items()
        ),
    ]
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    return f"{head}<style>{STYLE}</style></head><body>{''.join(sections)}</body></html>\n"


def _rule_text(name: str) -> str:
    import inspect

    return inspect.getdoc((RULES | ON_REQUEST)[name]) or ""
