"""The rule of SpikingJelly's operation counters (fangwei123456/spikingjelly 2.0.0, 2026)."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.unread import note_unread
from snncore.opcount import Ops

__all__ = ["read_spikingjelly"]


def read_spikingjelly(ops: Ops, prices: Prices) -> Reading:
    """MACCounter and ACCounter, for evaluation: layers with weights, batch normalisation, pooling, sums, residuals.

    Counts: input that is all 0 and 1 as accumulations, exact at borders; any other as dense multiply-accumulates,
    padding taken for image. Batch normalisation not folded: a multiply-accumulate an entry, and an addition an entry
    and channel. Averages: n - 1 additions a window; sums: entries in minus entries out; a residual of two binary
    trains one addition an event, of others one an entry. Leaves out: biases, max pooling, multiplications (so also
    AND and IAND), memory (its own counter); neurons, which it counts by the code of the neuron that runs.
    Wrong where: it looks at values, a call at a time, so that the figures depend on how samples are cut into
    batches; one value of 2 (SEW) makes a layer dense. Its SynOpCounter then reports 0 for that layer.
    `extra`: `synops`, what that counter reports.
    """
    reading = Reading("spikingjelly")
    synops = 0

    def add(layer: str, count: float) -> None:
        reading.ac += count
        reading.charge(layer, "ac", count, prices.add)

    def multiply(layer: str, count: float) -> None:
        reading.mac += count
        reading.charge(layer, "mac", count, prices.mac)

    for call in ops.calls:
        row = call.cost.totals()
        for facts in call.cost.facts:
            if facts.kind in ("conv", "linear", "matmul"):
                if facts.unit:
                    events = row.get("ac_binary", 0) + row.get("mac_nonzero", 0)
                    synops += events
                    add(call.layer, events)
                else:
                    multiply(call.layer, row.get("dense_mac_padded", 0))
            elif facts.kind == "batch_norm":
                multiply(call.layer, facts.in_size)
                add(call.layer, facts.in_size + facts.channels[0] * facts.calls)
            elif facts.kind == "pool" and facts.layer == "AvgPool2d":
                add(call.layer, facts.out_size * (facts.kernel[0] * facts.kernel[1] - 1))
            elif facts.kind == "reduction" or facts.layer == "GlobalAvgPool":
                add(call.layer, max(0, facts.in_size - facts.out_size))
            elif facts.kind == "residual":
                add(call.layer, facts.events if facts.unit else facts.out_size)
    reading.extra = {"synops": synops}
    note_unread(reading, ops)
    return reading
