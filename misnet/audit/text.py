"""An audit as text: rules side by side, layers, a claim, and the paper's Table 5 beside ours."""

import textwrap
from collections.abc import Sequence
from typing import Any

from misnet.audit.provenance import maker_lines, origin_lines, price_lines
from misnet.audit.report import Claim
from snncore.opcount.columns import COLUMNS

__all__ = ["audit_lines", "claim_lines", "layer_table", "rule_table", "table"]


NEURON_OPS = tuple(name for name, column in COLUMNS.items() if column.group in ("neuron", "mlif"))
"""What neurons do: every column of theirs, so that a new kind of neuron leaves none out."""


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
    for name, rule in report["rules"].items():
        one, of = rule["per_sample"], rule.get("spread") or {}
        spread = ("" if of.get(key) is None else f"{of[key]:.4f}" for key in ("std", "least", "most"))
        energies = f"{one['energy_mj']:.4f}", *spread
        rows.append((name, millions(one["mac"]), millions(one["ac"]), *energies, rule["prices"]))
    dense = report["dense"]
    prices = next(iter(report["rules"].values()))["prices"]
    rows.append(("dense network", millions(dense["mac_per_sample"]), "0.000", _mj(dense, ""), "", "", "", prices))
    step = millions(dense["mac_per_sample_and_timestep"])
    rows.append(("dense, one timestep", step, "0.000", _mj(dense, "_and_timestep"), "", "", "", prices))
    notes = [f"{name}: {note}" for name, rule in report["rules"].items() for note in rule["notes"]]
    if unpriced := report.get("unpriced_per_sample"):
        notes.append(
            "no price in exact, for one sample: " + ", ".join(f"{n:,.1f} {name}" for name, n in unpriced.items())
        )
    return table(rows) + ([""] if notes else []) + notes


def _mj(dense: dict[str, Any], suffix: str) -> str:
    return f"{dense[f'energy_mj_per_sample{suffix}']:.4f}"


def layer_table(report: dict[str, Any]) -> list[str]:
    """A line for each layer that computes, for one sample."""
    samples = max(1, report["samples"])
    rule = "exact" if "exact" in report["rules"] else next(iter(report["rules"]))
    heading = ("layer", "input rate", "dense MAC (M)", "MAC (M)", "AC binary (M)", "AC graded (M)", "neuron ops (M)")
    rows = [(*heading, "firing rate", f"{rule} (mJ)")]
    for line in report["layers"]:
        counts, energy = line["counts"], line["energy_mj_per_sample"].get(rule, 0)
        neuron = sum(counts.get(name, 0) for name in NEURON_OPS)
        synapse = [counts.get(name, 0) for name in ("dense_mac", "mac", "ac_binary", "ac_graded")]
        if not (energy or any(synapse) or neuron):
            continue
        rate = f"{line['input_rate']:.4f}" if "input_rate" in line else ""
        firing = f"{line['firing_rate']:.4f}" if "firing_rate" in line else ""
        millions_of = [millions(n / samples) if n else "" for n in (*synapse, neuron)]
        rows.append((line["layer"], rate, *millions_of, firing, f"{energy:.3g}"))
    return table(rows)


def audit_lines(report: dict[str, Any]) -> list[str]:
    """The whole report on one subject: what was audited, its layers, the rules side by side."""
    parameters = "" if report["parameters"] is None else f", {report['parameters']:,} parameters"
    return [
        f"{report['title']}: {report['samples']} samples{parameters}",
        *(f"{name}: {text}" for name, text in origin_lines(report)),
        *(f"warning: {text}" for text in report["warnings"]),
        f"firing rate {report['firing_rate']:.4f}; counts and energies below are for one sample (all timesteps)",
        "",
        *layer_table(report),
        "",
        *rule_table(report),
        "",
        *(f"{name}: {text}" for name, text in maker_lines(report)),
        *(
            wrapped("network: " + ", ".join(f"{k}={v}" for k, v in report["network"].items()))
            if report["network"]
            else []
        ),
        *(line for text in price_lines(report["price_tables"]) for line in wrapped(text)),
    ]


def wrapped(text: str) -> list[str]:
    """A long text as lines of at most 120 letters, all but the first indented."""
    return textwrap.wrap(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def claim_lines(claim: Claim) -> list[str]:
    """What a claim implies against what was measured."""
    lines = [f"claim: {claim.mj:g} mJ for one sample"]
    if claim.rate is None:
        lines.append("  the first layers alone, as multiply-accumulates, cost more than that")
    else:
        lines.append(f"  implies a mean input rate of {claim.rate:.4f} under the rule of the paper")
    lines.append(f"  ({claim.rate_all_ac:.4f} if every operation were an accumulation)")
    lines.append(f"  measured: {claim.measured:.4f}")
    if claim.rate is not None and claim.measured:
        lines.append(f"  implied / measured rate: {claim.rate / claim.measured:.3f}")
    rows = [("  claim / measured energy, by rule", "")]
    rows += [(f"    {name}", f"{ratio:.3f}") for name, ratio in claim.ratio.items()]
    return lines + table(rows)
