"""How the energy of a rule is spread over the samples, and which operations have no price."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from misnet.training.results import spread
from snncore import Ops
from snncore.energy import Prices, energy_by_sample
from snncore.opcount.columns import COLUMNS, MOVED

__all__ = ["spread_of", "unpriced"]


def spread_of(rule: str, ops: Ops, prices: Prices) -> dict[str, Any] | None:
    """Return n, mean, standard deviation and extremes of the energy in mJ over the samples, if the rule can tell."""
    mj = energy_by_sample(rule, ops, prices)
    return None if mj is None else asdict(spread(mj.tolist()))


def unpriced(totals: Mapping[str, int], tables: Iterable[Prices]) -> dict[str, int]:
    """Return the operations that were executed and that rule `exact` charges nothing for, by column.

    Moves (picking, assigning, gating) have no price anywhere; exponentials have none unless a table gives one.
    """
    special = any(table.special is not None for table in tables)
    free = [k for k, c in COLUMNS.items() if c.free == MOVED or (c.price == "special" and not special)]
    return {name: totals[name] for name in free if totals[name]}
