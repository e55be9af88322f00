"""Energy of each sample, for the rules that are linear in counts that samples have of their own."""

import warnings

import numpy as np

from snncore.energy.prices import Prices
from snncore.energy.rules.exact import priced_columns
from snncore.energy.rules.exact_memory import read_exact_memory
from snncore.opcount import Ops
from snncore.opcount.cost import UnresolvedWarning

__all__ = ["BY_SAMPLE", "energy_by_sample"]

BY_SAMPLE = ("exact", "exact-memory")
"""The rules whose energy can be said of each sample; the others look at whole batches, or at means."""

MEMORY = {
    "weights": ("weight_bytes",),
    "state": ("state_read_bytes", "state_write_bytes"),
    "spikes": ("spike_read_bytes", "spike_write_bytes"),
}


def energy_by_sample(rule: str, ops: Ops, prices: Prices) -> np.ndarray | None:
    """Return the energy of each sample in millijoules, float64 [N]; their sum is the energy that the rule states.

    What belongs to no sample (a loss, the decay of a PLIF, once a call) is shared by all of them alike. A byte of a
    layer costs what it does on average there, by `exact-memory`: its price, where the memories of the layer are of one
    size. None for a rule not in BY_SAMPLE, and where it was not told how many samples there are.
    Raises CostError where calls do not agree on the number of samples of a batch.
    """
    if rule not in BY_SAMPLE or not ops.samples:
        return None
    totals = ops.totals()
    pj = np.zeros(ops.samples)
    for name, kind in priced_columns(bool(totals["bn_stat_add"])).items():
        price = getattr(prices, kind)
        if price and totals[name]:
            pj += price * _shares(ops, name, None)
    if rule == "exact-memory":
        for layer, parts in read_exact_memory(ops, prices).pj.items():
            for part, columns in MEMORY.items():
                if charged := parts.get(f"memory: {part}"):
                    bytes_ = np.sum([_shares(ops, name, layer) for name in columns], axis=0)
                    pj += charged / bytes_.sum() * bytes_
    return pj * 1e-9


def _shares(ops: Ops, column: str, layer: str | None) -> np.ndarray:
    """A column for each sample, float64 [N], with an equal share of what belongs to none."""
    left = ops.unresolved(column, layer, by="sample")
    total = ops.totals(layer)[column]
    n = ops.samples or 0
    if left == total:
        return np.full(n, left / n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnresolvedWarning)  # what belongs to no sample is shared
        return np.asarray(ops.by_sample(column, layer), np.float64) + left / n
