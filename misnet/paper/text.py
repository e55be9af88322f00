"""Table 5 beside ours, as text."""

from collections.abc import Sequence
from typing import Any

from misnet.audit.text import table
from misnet.paper.contradictions import between_tables, energy_scaling, parameter_counts
from misnet.paper.conventions import FIRST, TAPS, spans
from misnet.paper.published import SIZES

__all__ = ["convention_lines", "paper_lines"]


def _rate(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def paper_lines(rows: Sequence[dict[str, Any]], conventions: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of the comparison. rows: of `printed_energies`. conventions: of `rates_by_convention`."""
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
    text += ["", *convention_lines(conventions), "", "parameters (ten classes; 32 px, public code L and XL 64 px)", ""]
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
    text += [*_other_cells(rows, conventions), *_between_data(rows), ""]
    return [*text, "contradictions between printed numbers", "", *(f"- {line}" for line in between_tables())]


def convention_lines(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return a row for each convention: the rate that the printed energy of one system requires."""
    one = lines[0]
    system = f"{one['data']}, MISNet-{one['variant']}, {one['printed_energy_mj']:.2f} mJ"
    table_rows = [("cells, first layers", *(f"T={steps}, {taps}" for steps in one["rates"] for taps in TAPS))]
    for line in lines:
        for first in FIRST:
            rates = [_rate(of[first][taps]) for of in line["rates"].values() for taps in TAPS]
            table_rows.append((f"{line['cells']}, {first}", *rates))
    text = [f"mean input rate that {system} requires, by convention of counting", "", *table(table_rows), ""]
    for line in lines:
        found = []
        for taps in TAPS:
            ends = [(steps, *(100 * x for x in spans(line, steps, (taps,)))) for steps in line["rates"]]
            found.append(", ".join(f"{low:.1f} to {high:.1f} % at T={steps}" for steps, low, high in ends))
        text.append(f"{line['cells']}: {found[0]}; taps inside the image alone: {found[1]}")
    return text


def _other_cells(rows: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> list[str]:
    """Say how operations grow if the smallest variant has other cells than those of Table 1."""
    data = lines[0]["data"]
    after = next((row for row in rows if row["data"] == data and row["variant"] == "S"), None)
    if after is None:
        return []
    growth = after["dense_mac_padded_per_timestep"]
    return [
        f"{data}, XS by {line['cells']}: to S operations grow by {growth / line['dense']['dense_mac_padded']:.2f}"
        for line in lines
    ]


def _between_data(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Say how printed energy grows from one data set to the other, beside its pixels."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    if len(names) != 2:
        return []
    energy = {(row["data"], row["variant"]): row["printed_energy_mj"] for row in rows}
    small, large = sorted(names, key=SIZES.__getitem__)
    ratios = ", ".join(f"{v} {mj / energy[small, v]:.2f}" for (data, v), mj in energy.items() if data == large)
    pixels = (SIZES[large] / SIZES[small]) ** 2
    return [f"printed energy, {large} over {small}: {ratios}; pixels {pixels:.2f}"]
