"""A report with two ends: what is found at the lower rates of a table, and beside it what is found at the higher."""

from typing import Any

__all__ = ["span", "widen"]


def widen(found: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Put the report `above`, of the higher end, into the report of the lower end, and return that.

    `high` holds the other report. Each rule gets `bracket`: low and high, mJ for one sample, from the lower end of the
    one to the higher end of the other where a rule has a bracket already.
    """
    found["high"] = above
    for name, rule in found["rules"].items():
        ends = rule.get("bracket") or {}
        other = above["rules"][name]
        top = (other.get("bracket") or {}).get("high", other["per_sample"]["energy_mj"])
        low = ends.get("low", rule["per_sample"]["energy_mj"])
        rule["bracket"] = {**ends, "low": low, "high": top}
    return found


def span(low: str, high: str | None) -> str:
    """Return `low to high`, or one of them where they are alike or there is no higher end."""
    return low if high is None or high == low else f"{low} to {high}"
