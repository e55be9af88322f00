"""The rule of SpikingJelly's operation counters (fangwei123456/spikingjelly 2.0.0, 2026)."""

import math
from dataclasses import replace

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.unread import listed, note_unread
from snncore.opcount import Ops

__all__ = ["read_spikingjelly", "read_spikingjelly_neurons"]

NEURONS = ("LIF", "PLIF")  # IF among them: a LIF that does not leak


def read_spikingjelly(ops: Ops, prices: Prices) -> Reading:
    """MACCounter and ACCounter, for evaluation: layers with weights, batch normalisation, pooling, sums, residuals.

    Counts: input that is all 0 and 1 as accumulations, exact at borders; any other as dense multiply-accumulates,
    padding taken for image. Batch normalisation not folded: a multiply-accumulate an entry, and an addition an entry
    and channel. Averages: n - 1 additions a window; sums: entries in minus entries out; a residual of two binary
    trains one addition an event, of others one an entry. Leaves out: biases, max pooling, multiplications (so also
    AND and IAND), memory (its own counter); neurons (`spikingjelly-neurons` has them).
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
                add(call.layer, facts.out_size * (math.prod(facts.kernel) - 1))
            elif facts.kind == "reduction" or facts.layer == "GlobalAvgPool":
                add(call.layer, max(0, facts.in_size - facts.out_size))
            elif facts.kind == "residual":
                add(call.layer, facts.events if facts.unit else facts.out_size)
    reading.extra = {"synops": synops}
    note_unread(reading, ops)
    return reading


def read_spikingjelly_neurons(ops: Ops, prices: Prices) -> Reading:
    """`spikingjelly` with the additions inside neurons, as a user gets it who counts a whole network.

    Counts, beyond `spikingjelly`, what the code of IFNode, LIFNode and ParametricLIFNode adds an entry: 3 without a
    leak (charge, threshold, reset), 5 with one (two for v - (v - v_reset) / tau, less one at rest, where both are 0),
    and 1 more for a hard reset. The threshold and the reset are charged where nothing fires, too. The same in single
    step and multi-step mode; `decay_input=False`. Leaves out: multiplications and divisions of neurons, neurons that it
    does not have (MLIF, CLIF; a note names them), and what `spikingjelly` does.
    Wrong where: the code decides, not the equation; where a whole membrane or current of a timestep is 0 and 1, it
    counts events in place of entries, which is not reproduced here.
    """
    reading = read_spikingjelly(ops, prices)
    reading.rule = "spikingjelly-neurons"
    strange = []
    for call in ops.calls:
        neurons = [facts for facts in call.cost.facts if facts.kind == "neuron"]
        if unknown := [facts.layer for facts in neurons if facts.layer not in NEURONS]:
            strange.append(replace(call, function=unknown[0]))
            continue
        for facts in neurons:
            adds = facts.out_size * ((5 if facts.leak else 3) + facts.hard) - (facts.rest if facts.leak else 0)
            reading.ac += adds
            reading.charge(call.layer, "neurons", adds, prices.add)
    if strange:
        reading.notes.append(f"additions not in these figures, because it has no such neuron: {listed(strange)}")
    return reading
