"""The rule of the monitor of SpikingResformer (xyshi2000/SpikingResformer, CVPR 2024)."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.unread import listed, note_unread
from snncore.opcount import Call, Ops
from snncore.opcount.cost import WEIGHTED

__all__ = ["read_spikingresformer"]


def read_spikingresformer(ops: Ops, prices: Prices) -> Reading:
    """SOPs: each layer run with all weights 1 and the outputs summed; energy is 0.9 pJ (an addition) times SOPs.

    Counts: convolutions, linear layers and matrix products, exact at borders, an event of value k as k operations.
    Leaves out: the first layer with weights of each input and the classifiers (it skips them by name), and everything
    that has no weights. Wrong where: the multiply-accumulates of the layers it skips are in no sum, so that the energy
    misses them; analog input (after average pooling) counts by its value, which is no number of operations. A layer
    with analog input below 0 would count less than nothing: it is left out, and a note names it.
    `extra`: `skipped`, the layers left out.
    """
    reading = Reading("spikingresformer")
    last: dict[int, int] = {}  # batch -> its last neuron; classifiers come after it
    for i, call in enumerate(ops.calls):
        if any(facts.kind == "neuron" for facts in call.cost.facts):
            last[call.batch] = i
    skipped = []
    negative: list[Call] = []
    for i, call in enumerate(ops.calls):
        for facts in call.cost.facts:
            if facts.kind not in WEIGHTED:
                continue
            if facts.outside or (facts.kind == "linear" and i > last.get(call.batch, -1)):
                skipped.append(call.layer)
                continue
            if facts.negative:
                negative.append(call)
                continue
            reading.ac += facts.value_taps
            reading.charge(call.layer, "ac", facts.value_taps, prices.add)
    reading.extra = {"skipped": sorted(set(skipped))}
    if negative:
        reading.notes.append(f"not in these figures, because they get analog input below 0: {listed(negative)}")
    note_unread(reading, ops)
    return reading
