"""The rule of NeuroBench (NeuroBench/neurobench 2.3.0, 2026): effective operations."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.unread import note_unread
from snncore.opcount import Call, Ops
from snncore.opcount.cost import Facts

__all__ = ["read_neurobench", "read_neurobench_steps"]


def read_neurobench(ops: Ops, prices: Prices) -> Reading:
    """Effective synaptic operations: taps with a non-zero input inside the image and a weight that is not zero.

    Counts: convolutions and linear layers; accumulations if the whole input of a call is -1, 0 or 1, else
    multiply-accumulates, whatever the values. Leaves out: biases, batch normalisation, neurons (a metric of their
    own there), pooling, residual additions, matrix products, memory. NeuroBench gives no energy: priced here by the
    table. Wrong where: it looks at values, a call at a time, so that the figures depend on how samples are cut into
    batches, and on whether time is an axis of the arrays, as here, or a loop (`neurobench-steps`); one value of 2 (SEW)
    turns a whole layer into multiply-accumulates; analog input that happens to be all 0 and 1 counts as spikes. Its
    sums run in float32, which rounds counts above 2^24.
    `extra`: `dense`, its "Dense": all taps inside the image.
    """
    return _read("neurobench", ops, prices, by_step=False)


def read_neurobench_steps(ops: Ops, prices: Prices) -> Reading:
    """`neurobench`, on a model that steps through time: each timestep of a call is looked at by itself.

    Counts and leaves out what `neurobench` does. A model of snnTorch calls its layers once for each timestep, so that a
    value of 2 turns one timestep of a layer into multiply-accumulates, and the others stay accumulations.
    Wrong where: as there; samples are still looked at together, as many as there are in a batch.
    """
    return _read("neurobench-steps", ops, prices, by_step=True)


def _read(name: str, ops: Ops, prices: Prices, by_step: bool) -> Reading:
    reading = Reading(name)
    dense = 0
    for call in ops.calls:
        for facts in call.cost.facts:
            if facts.kind not in ("conv", "linear"):
                continue
            dense += call.cost.totals().get("dense_mac", 0)
            effective, unit = _effective(call, facts)
            acs = unit if by_step else effective if facts.signed_unit else 0
            reading.ac += acs
            reading.mac += effective - acs
            reading.charge(call.layer, "ac", acs, prices.add)
            reading.charge(call.layer, "mac", effective - acs, prices.mac)
    reading.extra = {"dense": dense}
    note_unread(reading, ops)
    return reading


def _effective(call: Call, facts: Facts) -> tuple[int, int]:
    """Effective operations, and those in timesteps of -1, 0 and 1; of facts that do not say, from the columns."""
    if facts.effective is not None:
        return facts.effective, facts.effective_unit
    row = call.cost.totals()
    effective = row.get("ac_binary", 0) + row.get("ac_graded", 0) + row.get("mac_nonzero", 0)
    return effective, effective if facts.signed_unit else 0
