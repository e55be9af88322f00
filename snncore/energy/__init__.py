"""From exact counts to energy: counting rules and price tables."""

from snncore.energy.choices import CHOICES, Choice
from snncore.energy.prices import DEFAULT_TABLE, TABLES, PriceError, Prices, load_prices
from snncore.energy.reading import Reading
from snncore.energy.rules import ON_REQUEST, RULES
from snncore.energy.samples import energy_by_sample
from snncore.nearest import one_of
from snncore.opcount import Ops

__all__ = [
    "CHOICES",
    "DEFAULT_TABLE",
    "ON_REQUEST",
    "OWN_TABLES",
    "RULES",
    "TABLES",
    "Choice",
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
    """Read the counts of a run by a rule of RULES or ON_REQUEST; `prices`: by default those of the rule's authors.

    Raises ValueError for an unknown rule.
    """
    known = RULES | ON_REQUEST
    if rule not in known:
        raise ValueError(f"rule: {one_of(rule, known)}")
    return known[rule](ops, prices or load_prices(OWN_TABLES.get(rule, DEFAULT_TABLE)))
