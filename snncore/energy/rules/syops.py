"""The rule of syops-counter (iCGY96/syops-counter 0.0.5, 2023)."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.unread import note_unread
from snncore.opcount import Ops

__all__ = ["read_syops"]

COUNTED_NEURONS = ("IF", "LIF", "PLIF")


def read_syops(ops: Ops, prices: Prices) -> Reading:
    """Dense operations times the mean of the input where a whole call is 0 and 1, else multiply-accumulates.

    Counts: convolutions (padding taken for image, bias once an output), linear layers (bias once a call), 2 an entry
    for batch normalisation as multiply-accumulates, pooling 1 an input entry, IF, LIF and PLIF 1 an entry.
    Leaves out: leak, reset and threshold; CLIF, MLIF and other neurons; residual additions, matrix products and
    everything else that is no module; memory.
    Wrong where: it looks at values, a call at a time, so that the figures depend on how samples are cut into
    batches; a layer gets 0, 1 and 2 (after every SEW addition): all of it becomes dense multiply-accumulates,
    hence an SNN that costs more than its ANN. It also takes any input of at most two values in [0, 1], such as
    {0, 0.5}, for spikes; that is not reproduced here. It divides by the length of the first axis, which is T for
    data [T, N, ...]; here all samples count.
    """
    reading = Reading("syops")
    for layer, facts in ops.facts():
        binary = facts.unit
        if facts.kind in ("conv", "linear"):
            co = facts.channels[1]
            dense = facts.out_size // max(1, co) * facts.weights
            dense += (facts.out_size if facts.kind == "conv" else co * facts.calls) if facts.bias else 0
        elif facts.kind == "batch_norm":
            dense = 2 * facts.in_size
        elif facts.kind == "pool":
            dense = facts.in_size
        elif facts.kind == "neuron" and facts.layer in COUNTED_NEURONS:
            reading.ac += facts.in_size
            reading.charge(layer, "ac", facts.in_size, prices.add)
            continue
        else:
            continue
        if binary:
            acs = dense * facts.value_sum / max(1, facts.in_size)
            reading.ac += acs
            reading.charge(layer, "ac", acs, prices.add)
        else:
            reading.mac += dense
            reading.charge(layer, "mac", dense, prices.mac)
    note_unread(reading, ops)
    return reading
