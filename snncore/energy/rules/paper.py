"""Rate times dense operations: the rule of the paper, and of most papers of the field."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.opcount import Ops

__all__ = ["paper"]


def paper(ops: Ops, prices: Prices) -> Reading:
    """E = E_MAC * MACs(first convolution of each input) + E_AC * sum of rate * MACs(every other layer).

    Counts: dense multiply-accumulates of convolutions and linear layers, taps on the padding included, times the mean
    of the layer's input over the whole call, as accumulations; the first convolutions as multiply-accumulates.
    Leaves out: batch normalisation, neurons, alpha and W, pooling, residual additions, biases, memory.
    Wrong where: spikes at borders reach fewer outputs than the mean says; graded input (0, 1, 2) is a rate that may
    exceed 1; analog input (average pooling, the heads) is taken for accumulations, though it must be multiplied.
    Source: Liu et al. 2025, Section 4.4, "converting FLOPs into energy units" after Attention-SNN (Yao et al. 2023),
    whose supplement gives this form. `extra`: the dense operations behind `ac`, and the mean rate, ac / dense_ac.
    """
    reading = Reading("paper")
    dense = 0
    for call in ops.calls:
        for facts in call.cost.facts:
            if facts.kind not in ("conv", "linear", "matmul"):
                continue
            macs = call.cost.totals().get("dense_mac_padded", 0)
            if facts.outside and facts.kind == "conv":
                reading.mac += macs
                reading.charge(call.layer, "mac", macs, prices.mac)
                continue
            dense += macs
            acs = macs * facts.value_sum / max(1, facts.in_size)
            reading.ac += acs
            reading.charge(call.layer, "ac", acs, prices.add)
    reading.extra = {"dense_ac": dense, "mean_rate": reading.ac / max(1, dense)}
    return reading
