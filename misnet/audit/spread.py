"""How the energy of a rule is spread over the samples, and which operations have no price."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from misnet.training.results import spread
from snncore import Ops
from snncore.energy import Prices
from snncore.opcount.columns import COLUMNS, MOVED

__all__ = ["spread_of", "unpriced"]


def spread_of(rule: str, ops: Ops, prices: Prices) -> dict[str, Any] | None:
    """Return n, mean, standard deviation and extremes of the energy in mJ over the samples.

    Only of the rule `exact`, which is linear in the counts; None for another, or if some counts are of no sample.
    """
    if rule != "exact" or not ops.samples:
        return None
    totals = ops.totals()
    skipped = ("bn_folded_add",) if totals["bn_stat_add"] else ("bn_mul", "bn_add")
    price = {name: getattr(prices, column.price) for name, column in COLUMNS.items() if column.price}
    priced = [name for name in price if price[name] and totals[name] and name not in skipped]
    if any(ops.unresolved(name, by="sample") for name in priced):
        return None
    pj = [0.0] * ops.samples
    for name in priced:
        pj = [sum_ + price[name] * n for sum_, n in zip(pj, ops.by_sample(name), strict=True)]
    return asdict(spread([x * 1e-9 for x in pj]))


def unpriced(totals: Mapping[str, int], tables: Iterable[Prices]) -> dict[str, int]:
    """Return the operations that were executed and that rule `exact` charges nothing for, by column.

    Moves (picking, assigning, gating) have no price anywhere; exponentials have none unless a table gives one.
    """
    special = any(table.special is not None for table in tables)
    free = [k for k, c in COLUMNS.items() if c.free == MOVED or (c.price == "special" and not special)]
    return {name: totals[name] for name in free if totals[name]}
