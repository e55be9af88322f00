"""What the energy of a row of Table 5 implies under every convention of counting that the field has.

The paper prints energies and no T, no rates and no counts. With E the printed energy of a sample, F and D the dense
operations of a timestep in the first layers and in all, e_mac and e_ac the prices,

    rate = (E - n F e_mac) / (T (D - F) e_ac)      first layers as multiply-accumulates, n = T or n = 1 times
    rate = E / (T D e_ac)                          every operation an accumulation

n = 1 is how Attention-SNN and Spikformer print the formula: the first layer outside the sum over timesteps. D and F
count the taps on the padding, as FLOP counters do, or those inside the image alone.
"""

from collections.abc import Mapping
from typing import Any

from misnet.audit.report import dense_operations
from misnet.models.misnet.config import preset
from misnet.models.misnet.model import MISNet
from misnet.paper.published import CLASSES, SIZES, find
from snncore.energy import Prices

__all__ = ["FIRST", "implied_rates", "rates_by_convention", "spans"]

FIRST = ("first layers MAC, each timestep", "first layers MAC, once", "all AC")
TAPS = {"padding": ("dense_mac_padded", "first_padded"), "inside image": ("dense_mac", "first")}
CELLS = {"Table 1": None, "cells {1,1,1}": (1, 1, 1)}


def implied_rates(mj: float, counts: Mapping[str, int], prices: Prices, timesteps: int) -> dict[str, Any]:
    """Return the mean input rate by (convention for the first layers, taps); None if the first layers cost more.

    counts: of `misnet.audit.report.dense_operations`, for one timestep.
    """
    found: dict[str, Any] = {}
    for first in FIRST:
        times = {FIRST[0]: timesteps, FIRST[1]: 1, FIRST[2]: 0}[first]
        found[first] = {}
        for taps, (every, of_first) in TAPS.items():
            left = mj * 1e9 - times * counts[of_first] * prices.mac
            accumulated = counts[every] - (counts[of_first] if times else 0)
            found[first][taps] = left / (timesteps * accumulated * prices.add) if left >= 0 else None
    return found


def rates_by_convention(
    prices: Prices, data: str = "CREMA-D", variant: str = "XS", timesteps: tuple[int, ...] = (4, 1)
) -> list[dict[str, Any]]:
    """Return a line for each reading of the cells: operations of a timestep, and rates by T and convention.

    The cells of Table 1 give XS more parameters than are printed; the public code has {1,1,1}, and those.
    """
    mj = find("5", method=f"MISNet-{variant}")[f"{data} energy"]
    lines = []
    for name, cells in CELLS.items():
        switches = {} if cells is None else {"cells": cells}
        config = preset("paper", variant, size=SIZES[data], classes=CLASSES[data], timesteps=1, **switches)
        counts = dense_operations(MISNet(config))
        lines.append(
            {
                "data": data,
                "variant": variant,
                "cells": name,
                "printed_energy_mj": mj,
                "dense": counts,
                "rates": {steps: implied_rates(mj, counts, prices, steps) for steps in timesteps},
            }
        )
    return lines


def spans(line: Mapping[str, Any], timesteps: int, taps: tuple[str, ...] = tuple(TAPS)) -> tuple[float, float]:
    """Return the lowest and the highest rate of a line at a T, over the conventions for first layers and some taps."""
    found = [rates[name] for rates in line["rates"][timesteps].values() for name in taps if rates[name] is not None]
    return min(found), max(found)
