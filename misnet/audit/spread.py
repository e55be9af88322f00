"""How the energy of a rule is spread over the samples, and which operations have no price."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from misnet.training.results import spread
from snncore import Ops
from snncore.energy import Prices, apply_rule, energy_by_sample
from snncore.energy.samples import BY_SAMPLE
from snncore.opcount.columns import COLUMNS, MOVED

__all__ = ["spread_note", "spread_of", "unpriced"]


def spread_of(rule: str, ops: Ops, prices: Prices, alone: Sequence[Ops] = ()) -> dict[str, Any] | None:
    """Return n, mean, standard deviation and extremes of the energy in mJ over the samples; None if nobody can tell.

    A rule of `BY_SAMPLE` tells it of all samples. Of another it is that of `alone`, samples each counted by itself:
    what the rule's tool says of one sample. Where the rule looks at a whole batch, so as to call a layer binary or not,
    their mean is another than the figure of the batch.
    """
    mj = energy_by_sample(rule, ops, prices)
    if mj is not None:
        return asdict(spread(mj.tolist()))
    return asdict(spread([apply_rule(rule, one, prices).energy_mj for one in alone])) if alone else None


def spread_note(rules: Mapping[str, Mapping[str, Any]], samples: int | None) -> str:
    """Say of which rules the spread is that of some samples, counted by themselves; "" if of none.

    Of one sample there is no spread, and none is shown.
    """
    spreads = {name: of.get("spread") or {} for name, of in rules.items() if name not in BY_SAMPLE}
    some = {name: of["n"] for name, of in spreads.items() if of.get("std") is not None}
    if not some:
        return ""
    n = max(some.values())
    whole = "all" if n == samples else f"{n} of {samples:,}" if samples else f"{n}"
    return f"sd, least and most of {', '.join(some)}: of {whole} samples, each counted by itself"


def unpriced(totals: Mapping[str, int], tables: Iterable[Prices]) -> dict[str, int]:
    """Return the operations that were executed and that rule `exact` charges nothing for, by column.

    Moves (picking, assigning, gating) have no price anywhere; exponentials have none unless a table gives one.
    """
    special = any(table.special is not None for table in tables)
    free = [k for k, c in COLUMNS.items() if c.free == MOVED or (c.price == "special" and not special)]
    return {name: totals[name] for name in free if totals[name]}
