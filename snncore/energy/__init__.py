"""From exact counts to energy: counting rules and price tables."""

from snncore.energy.prices import DEFAULT_TABLE, TABLES, PriceError, Prices, load_prices
from snncore.energy.reading import Reading
from snncore.energy.rules import RULES
from snncore.energy.samples import energy_by_sample
from snncore.opcount import Ops

__all__ = [
    "DEFAULT_TABLE",
    "OWN_TABLES",
    "RULES",
    "TABLES",
    "PriceError",
    "Prices",
    "Reading",
    "apply_rule",
    "energy_by_sample",
    "load_prices",
]

OWN_TABLES = {"lemaire": "horowitz-45nm-int32"}
"""Tables of rules that come with prices of their own; every other rule takes `horowitz-45nm-fp32`."""


def apply_rule(rule: str, ops: Ops, prices: Prices | None = None) -> Reading:
    """Read the counts of a run by a rule of RULES; `prices` defaults to those that the rule's authors take.

    Raises ValueError for an unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule: expected one of {', '.join(RULES)}, found {rule!r}")
    return RULES[rule](ops, prices or load_prices(OWN_TABLES.get(rule, DEFAULT_TABLE)))
