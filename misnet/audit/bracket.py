"""How far the figure of a rule depends on how the run is read: as plain values, and as text."""

from collections.abc import Mapping
from typing import Any

from misnet.audit.figures import ENERGY_UNITS, energy_unit, figure, significant
from snncore.energy import CHOICES, Reading

__all__ = ["bracket", "bracket_lines", "otherwise", "unit_of"]


def bracket(reading: Reading, samples: int) -> dict[str, Any]:
    """Return the lowest and the highest energy of one sample, and by reading what it changes, as JSON can hold them.

    change: share of the energy of the rule, below 0 where the reading spares something. Without readings the ends are
    the figure itself.
    """
    whole = reading.energy_mj / samples
    return {
        "low_mj_per_sample": reading.low_mj / samples,
        "high_mj_per_sample": reading.high_mj / samples,
        "readings": {
            name: {
                "change": share,
                "change_mj_per_sample": share * whole,
                "title": CHOICES[name].title,
                "text": CHOICES[name].text,
                "source": CHOICES[name].source,
            }
            for name, share in reading.shares().items()
        },
    }


def bracket_lines(report: dict[str, Any]) -> list[str]:
    """For each rule with readings: the range of one sample, and a line a reading with the share that hangs on it.

    report: of `misnet.audit.report.report`.
    """
    unit = unit_of(report)
    lines = []
    for name, rule in report["rules"].items():
        found = rule["bracket"]
        if not found["readings"]:
            continue
        all_mj = rule["per_sample"]["energy_mj"], found["low_mj_per_sample"], found["high_mj_per_sample"]
        own, low, high = (figure(mj / ENERGY_UNITS[unit]) for mj in all_mj)
        between = f"between {low} and {high} if read otherwise; each reading alone:"
        lines.append(f"{name}: {own} {unit} a sample, {between}")
        wide = max(len(of["title"]) for of in found["readings"].values())
        lines += [f"  {of['title'].ljust(wide)}  {of['change']:+9.2%}" for of in found["readings"].values()]
    return lines


def unit_of(report: Mapping[str, Any]) -> str:
    """Return the unit in which the energies of the rules of a report are printed."""
    rules = report.get("high", report)["rules"]  # where rates have bounds, the report at their upper ends
    return energy_unit(rule["per_sample"]["energy_mj"] for rule in rules.values())


def otherwise(rule: Mapping[str, Any], unit: str = "mJ") -> str:
    """Return low to high for one sample, of a rule of a report; nothing if no reading changes its figure."""
    low, high = (rule["bracket"][f"{end}_mj_per_sample"] / ENERGY_UNITS[unit] for end in ("low", "high"))
    return "" if low == high else f"{significant(low)} to {significant(high)}"
