"""Rate times dense operations: the rule `paper`, that of MISNet's authors and of most papers of the field."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.unread import listed, note_unread
from snncore.opcount import Call, Ops
from snncore.opcount.cost import WEIGHTED

__all__ = ["read_rate_times_dense"]


def read_rate_times_dense(ops: Ops, prices: Prices) -> Reading:
    """E = E_MAC * MACs(first layer of each analog input) + E_AC * sum of rate * MACs(every other layer).

    Counts: dense multiply-accumulates of convolutions, linear layers and matrix products, taps on the padding included,
    times the mean of the layer's input over the whole call, as accumulations. The first layer that sees analog input
    from outside, through operations that only move, add and scale, counts as multiply-accumulates. So does a layer
    with analog input below 0, whose mean is no rate; a note names it.
    Leaves out: batch normalisation, neurons, alpha and W, pooling, residual additions, biases, memory.
    Wrong where: spikes at borders reach fewer outputs than the mean says; graded input (0, 1, 2) is a rate that may
    exceed 1; analog input (average pooling, the heads) is taken for accumulations, though it must be multiplied. Where
    that input is no mean of spikes either, as in a network that does not spike, a note names the layers.
    The rule's authors write of convolutions: a first layer that is linear is read like one, and a note says so.
    A first layer counts at every timestep, though its input may be one image for all of them: most authors count it
    once, `low_mj` says what that gives.
    Source: Liu et al. 2025, Section 4.4, "converting FLOPs into energy units" after Attention-SNN (Yao et al. 2023),
    whose supplement gives this form. `extra`: `first_mac`, the multiply-accumulates of the first layers; `dense_ac`,
    the dense operations behind `ac`; `mean_rate`, ac / dense_ac.
    """
    reading = Reading("paper")
    dense = first = 0
    linear: list[Call] = []
    negative: list[Call] = []
    plain: list[Call] = []
    for call in ops.calls:
        for facts in call.cost.facts:
            if facts.kind not in WEIGHTED:
                continue
            macs = call.cost.totals().get("dense_mac_padded", 0)
            begins = facts.outside and not facts.spikes
            if begins or facts.negative:
                reading.mac += macs
                reading.charge(call.layer, "mac", macs, prices.mac)
                first += macs if begins else 0
                again = facts.repeated / facts.cells if begins else 0
                reading.hang("static", call.layer, -macs * again * prices.mac)
                if not begins:
                    negative.append(call)
                elif facts.kind != "conv":
                    linear.append(call)
                continue
            if not (facts.spikes or call.cost.totals().get("mac_averaged")):
                plain.append(call)
            dense += macs
            acs = macs * facts.value_sum / max(1, facts.in_size)
            reading.ac += acs
            reading.charge(call.layer, "ac", acs, prices.add)
    if linear:
        reading.notes.append(
            f"first layers that are no convolutions, counted as multiply-accumulates like those: {listed(linear)}"
        )
    if negative:
        reading.notes.append(
            f"counted as multiply-accumulates, because the mean of analog input below 0 is no rate: {listed(negative)}"
        )
    if plain:
        reading.notes.append(
            f"counted as accumulations at the mean of their input, though that is no spikes: {listed(plain)}"
        )
    note_unread(reading, ops)
    reading.extra = {"first_mac": first, "dense_ac": dense, "mean_rate": reading.ac / max(1, dense)}
    return reading
