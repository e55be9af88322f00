"""The rule of the monitor of SpikingResformer (xyshi2000/SpikingResformer, CVPR 2024)."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.opcount import Ops

__all__ = ["spikingresformer"]


def spikingresformer(ops: Ops, prices: Prices) -> Reading:
    """SOPs: each layer run with all weights 1 and the outputs summed; energy is 0.9 pJ (an addition) times SOPs.

    Counts: convolutions, linear layers and matrix products, exact at borders, an event of value k as k operations.
    Leaves out: the first convolution of each input and the classifiers (it skips them by name), and everything that
    has no weights. Wrong where: the multiply-accumulates of the layers it skips are in no sum, so that the energy
    misses them; analog input (after average pooling) counts by its value, which is no number of operations.
    `extra`: `skipped`, the layers left out.
    """
    reading = Reading("spikingresformer")
    facts_of = ops.facts()
    last = max((i for i, (_, facts) in enumerate(facts_of) if facts.kind == "neuron"), default=-1)
    skipped = []
    for i, (layer, facts) in enumerate(facts_of):
        if facts.kind not in ("conv", "linear", "matmul"):
            continue
        if (facts.kind == "conv" and facts.outside) or (facts.kind == "linear" and i > last):
            skipped.append(layer)
            continue
        reading.ac += facts.value_taps
        reading.charge(layer, "ac", facts.value_taps, prices.add)
    reading.extra = {"skipped": sorted(set(skipped))}
    return reading
