"""The energy of one sample by every counting rule."""

from typing import Any

from misnet.audit.bracket import bracket
from misnet.audit.figures import COUNT_UNITS, ENERGY_UNITS, count_unit, figure, largest_unit
from misnet.audit.report import count_batches
from misnet.audit.text import in_unit, table
from misnet.models.contract import Model
from snncore.energy import Prices, apply_rule

__all__ = ["energy_lines", "energy_of", "three_digits"]


def energy_of(model: Model, batch: Any, prices: dict[str, Prices], device: str = "cpu") -> dict[str, Any]:
    """Count a batch of one sample and read the counts by the rules of `prices`; plain values, as JSON can hold them.

    Each rule as in an audit (`misnet.audit.report`): multiply-accumulates and accumulations of all timesteps, energy in
    mJ, and between which ends the energy lies if the run is read otherwise. dense: that of the same shapes without
    spikes, all multiplications done.
    """
    ops = count_batches(model, [batch], device)
    rules = {}
    for name, table_of in prices.items():
        reading = apply_rule(name, ops, table_of)
        ends = bracket(reading, 1)
        rules[name] = {
            "mac": reading.mac,
            "ac": reading.ac,
            "energy_mj": reading.energy_mj,
            "low_mj": ends["low_mj_per_sample"],
            "high_mj": ends["high_mj_per_sample"],
            "prices": table_of.name,
        }
    totals, price = ops.totals(), next(iter(prices.values()))
    return {
        "rules": rules,
        "dense": {"mac": totals["dense_mac"], "energy_mj": totals["dense_mac"] * price.mac * 1e-9},
        "firing_rate": totals["spikes"] / totals["places"] if totals["places"] else None,
    }


def three_digits(value: float) -> str:
    """Return a value with three significant digits, and never an exponent where it is 0.001 or more."""
    return f"{float(f'{value:.3g}'):,g}"


def energy_lines(found: dict[str, Any]) -> list[str]:
    """Return a table of the rules side by side."""
    lines = {name: (of["mac"], of["ac"], of["energy_mj"], of["prices"]) for name, of in found["rules"].items()}
    prices = next(iter(found["rules"].values()))["prices"]
    lines["dense network"] = (found["dense"]["mac"], 0, found["dense"]["energy_mj"], prices)
    counts = count_unit(n for mac, ac, _, _ in lines.values() for n in (mac, ac))
    unit = largest_unit([min(mj for _, _, mj, _ in lines.values())])
    rows = [("rule", in_unit("MAC", counts), in_unit("AC", counts), in_unit("energy", unit), "prices")]
    for name, (mac, ac, mj, of) in lines.items():
        cells = (figure(n / COUNT_UNITS[counts], 3) for n in (mac, ac))
        rows.append((name, *cells, three_digits(mj / ENERGY_UNITS[unit]), of))
    return table(rows)
