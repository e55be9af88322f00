"""The rule of NeuroBench (NeuroBench/neurobench 2.3.0, 2026): effective operations."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.unread import note_unread
from snncore.opcount import Ops

__all__ = ["read_neurobench"]


def read_neurobench(ops: Ops, prices: Prices) -> Reading:
    """Effective synaptic operations: taps with a non-zero input inside the image, exact at borders.

    Counts: convolutions and linear layers; accumulations if the whole input of a call is -1, 0 or 1, else
    multiply-accumulates, whatever the values. Leaves out: biases, batch normalisation, neurons (a metric of their
    own there), pooling, residual additions, matrix products, memory. NeuroBench gives no energy: priced here by the
    table. Wrong where: it looks at values, a call at a time, so that the figures depend on how samples are cut into
    batches; one value of 2 (SEW) turns a whole layer into multiply-accumulates; analog input that happens
    to be all 0 and 1 counts as spikes. Its sums run in float32, which rounds counts above 2^24, and it leaves out
    weights that are exactly zero, which here are counted.
    `extra`: `dense`, its "Dense": all taps inside the image.
    """
    reading = Reading("neurobench")
    dense = 0
    for call in ops.calls:
        for facts in call.cost.facts:
            if facts.kind not in ("conv", "linear"):
                continue
            row = call.cost.totals()
            dense += row.get("dense_mac", 0)
            effective = row.get("ac_binary", 0) + row.get("ac_graded", 0) + row.get("mac_nonzero", 0)
            if facts.signed_unit:
                reading.ac += effective
                reading.charge(call.layer, "ac", effective, prices.add)
            else:
                reading.mac += effective
                reading.charge(call.layer, "mac", effective, prices.mac)
    reading.extra = {"dense": dense}
    note_unread(reading, ops)
    return reading
