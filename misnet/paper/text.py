"""Table 5 beside ours, as text."""

from collections.abc import Sequence
from typing import Any

from misnet.audit.text import table
from misnet.paper.contradictions import between_tables, energy_scaling, parameter_counts

__all__ = ["paper_lines"]


def _rate(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def paper_lines(rows: Sequence[dict[str, Any]], measured: float | None = None) -> list[str]:
    """Return the lines of the comparison. rows: of `printed_energies`. measured: mean rate of a run, if any."""
    heading = ("Table 5", "pixels", "printed acc", "printed mJ", "GMAC/step", "inside image", "rate T=4", "all AC")
    lines = [(*heading, "rate T=1", "all AC")]
    for row in rows:
        four, one = row["implied_rate"], row["implied_rate_one_timestep"]
        lines.append(
            (
                f"{row['data']}, MISNet-{row['variant']}",
                str(row["size"]),
                f"{row['printed_accuracy']:.2f}",
                f"{row['printed_energy_mj']:.2f}",
                f"{row['dense_mac_padded_per_timestep'] / 1e9:.3f}",
                f"{row['dense_mac_per_timestep'] / 1e9:.3f}",
                _rate(four["paper_rule"]),
                _rate(four["all_ac"]),
                _rate(one["paper_rule"]),
                _rate(one["all_ac"]),
            )
        )
    text = ["", "Table 5 of the paper beside operations counted here", "", *table(lines), ""]
    text += [
        "GMAC/step: dense multiply-accumulates of a timestep, padding taken for image; then those inside the image.",
        "rate: mean input rate that the printed energy implies, first convolutions as multiply-accumulates; all AC: if",
        "every operation is an accumulation. The paper does not say of which T its energies are.",
    ]
    if measured is not None:
        text.append(f"measured in this run, under the same rule: {measured:.4f}")
    text += ["", "parameters (ten classes; 32 px, public code L and XL 64 px)", ""]
    counts = [("variant", "printed (M)", "Table 1 by the equations (M)", "public code (M)")]
    for line in parameter_counts():
        counts.append(
            (
                str(line["variant"]),
                f"{line['printed']:.2f}",
                f"{float(line['table 1']) / 1e6:.2f}",
                f"{float(line['public code']) / 1e6:.2f}",
            )
        )
    text += [
        *table(counts),
        "",
        "growth from one variant to the next: printed energy and parameters, operations",
        "",
    ]
    for data in dict.fromkeys(row["data"] for row in rows):
        own = {row["variant"]: row for row in rows if row["data"] == data}
        scaling = energy_scaling(
            {v: row["printed_parameters_m"] for v, row in own.items()},
            {v: row["dense_mac_padded_per_timestep"] for v, row in own.items()},
            f"{data} energy",
        )
        steps = [(data, "energy", "parameters", "operations")]
        steps += [(s["step"], *(f"{s[k]:.2f}" for k in ("energy", "parameters", "macs"))) for s in scaling]
        text += [*table(steps), ""]
    return [*text, "contradictions between printed numbers", "", *(f"- {line}" for line in between_tables())]
