"""A report with two ends: what is found at the lower rates of a table, and beside it what is found at the higher."""

from typing import Any

__all__ = ["span", "widen"]


def widen(found: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Put the report `above`, of the higher end, into the report of the lower end, and return that.

    `high` holds the other report. The bracket of each rule then goes from its lower end in the one to its higher end in
    the other; its readings are those of the lower one.
    """
    found["high"] = above
    for name, rule in found["rules"].items():
        rule["bracket"]["high_mj_per_sample"] = above["rules"][name]["bracket"]["high_mj_per_sample"]
    return found


def span(low: str, high: str | None) -> str:
    """Return `low to high`, or one of them where they are alike or there is no higher end."""
    return low if high is None or high == low else f"{low} to {high}"
