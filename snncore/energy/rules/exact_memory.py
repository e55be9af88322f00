"""Everything that was executed, priced, and the memory that it needs."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.exact import read_exact
from snncore.energy.rules.unread import note_silent_memory
from snncore.opcount import Call, Ops

__all__ = ["read_exact_dram", "read_exact_memory"]


FLOAT = 32  # bits of the weights and membranes whose bytes were counted


def read_exact_memory(ops: Ops, prices: Prices) -> Reading:
    """`exact`, and an SRAM access for what it touches.

    Counts, beyond `exact`: weights read anew for every accumulation (no reuse), spikes read and written one byte a
    place, membranes read and written each timestep; each memory as large as what the layer keeps in it (weights; one
    timestep of one sample). Weights and membranes have the bits of the price table. Leaves out: analog values between
    layers, addressing, DRAM, leakage, the network on chip.
    Wrong where: hardware reuses weights (see `weight_bytes_once`), packs spikes into bits, or keeps membranes in
    registers. It is no dataflow: weights come anew for each accumulation, as where events are taken in the order in
    which they come, and the sums that they are added to never leave, as where outputs are worked out one by one.
    `low_mj` and `high_mj` also hold weights that are kept for a timestep, and sums that are not; the readings of
    `exact` change its arithmetic alone. Layers larger than the largest SRAM of the table get its price, which is too
    low, and that of DRAM in `high_mj`, as in the rule `exact-dram`. Operations of your own may state no bytes; a note
    names them.
    """
    reading = read_exact(ops, prices)
    reading.rule = "exact-memory"
    large = charge_memory(reading, ops, prices, beyond=None)
    if large:
        reading.notes.append(f"{len(large)} layers hold more than the largest SRAM of {prices.name}: priced too low")
    note_silent_memory(reading, ops)
    return reading


def read_exact_dram(ops: Ops, prices: Prices) -> Reading:
    """`exact-memory`, with DRAM in place of SRAM for each memory that is larger than the largest SRAM of the table.

    Counts: what `exact-memory` counts; every access to such a memory goes to DRAM, with no cache in between. Leaves
    out: what `exact-memory` leaves out, and refresh. Wrong where: a cache holds part of the weights, or they are
    loaded once and used for many samples: the other end of the range of which `exact-memory` is the lower one.
    `extra`: `dram_layers`, the layers that do not fit.
    """
    reading = read_exact(ops, prices)
    reading.rule = "exact-dram"
    reading.extra["dram_layers"] = charge_memory(reading, ops, prices, beyond=prices.dram_byte())
    note_silent_memory(reading, ops)
    return reading


def charge_memory(reading: Reading, ops: Ops, prices: Prices, beyond: float | None) -> list[str]:
    """Charge weights, membranes and spikes; returns the layers with a memory larger than the largest SRAM.

    beyond: price of a byte from such a memory; None for that of the largest SRAM.
    """
    width = prices.bits / FLOAT
    large: dict[str, None] = {}
    for call in ops.calls:
        row = call.cost.totals()
        cells = max((facts.cells for facts in call.cost.facts), default=call.times)
        state = row.get("state_read_bytes", 0) + row.get("state_write_bytes", 0)
        spikes = row.get("spike_read_bytes", 0) + row.get("spike_write_bytes", 0)
        moved = (
            ("weights", row.get("weight_bytes", 0) * width, row.get("weight_bytes_once", 0) * width / call.times),
            ("state", state * width, row.get("state_write_bytes", 0) * width / max(1, cells)),
            ("spikes", spikes, spikes / max(1, cells)),
        )
        for part, size, capacity in moved:
            price = prices.sram_byte(capacity)
            if size and capacity > prices.sram[-1][0]:
                large[call.layer] = None
                if beyond is None:
                    reading.hang("dram", call.layer, size * (prices.dram_byte() - price))
                else:
                    price = beyond
            reading.charge(call.layer, f"memory: {part}", size, price)
        _hang_weights(reading, call, row, prices)
    return list(large)


def _hang_weights(reading: Reading, call: Call, row: dict[str, int], prices: Prices) -> None:
    """Weights that are read once a timestep and sample, and sums that are read and written for each accumulation."""
    width = prices.bits / FLOAT
    for facts in call.cost.facts:
        if facts.kind not in ("conv", "linear"):
            continue
        stored, read = row.get("weight_bytes_once", 0) // call.times, row.get("weight_bytes", 0)
        word = stored // max(1, facts.weights + facts.bias)  # bytes of a weight, and of a sum
        kept = min(read, facts.weights * word * facts.cells)
        reading.hang("weights-kept", call.layer, -(read - kept) * width * prices.sram_byte(stored * width))
        sums = prices.sram_byte(word * width * facts.out_size / max(1, facts.cells))
        done = sum(row.get(name, 0) for name in ("ac_binary", "ac_graded", "mac"))
        reading.hang("sums-in-memory", call.layer, 2 * done * word * width * sums)
