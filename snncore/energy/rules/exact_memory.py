"""Everything that was executed, priced, and the memory that it needs."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.exact import read_exact
from snncore.energy.rules.unread import note_silent_memory
from snncore.opcount import Ops

__all__ = ["read_exact_memory"]


def read_exact_memory(ops: Ops, prices: Prices) -> Reading:
    """`exact`, and an SRAM access for what it touches.

    Counts, beyond `exact`: weights read anew for every accumulation (no reuse), spikes read and written one byte a
    place, membranes read and written each timestep; each memory as large as what the layer keeps in it (weights; one
    timestep of one sample). Leaves out: analog values between layers, addressing, DRAM, leakage, the network on chip.
    Wrong where: hardware reuses weights (see `weight_bytes_once`), packs spikes into bits, or keeps membranes in
    registers. Layers larger than the largest SRAM of the table get its price, which is too low. Neurons that are
    written with elementwise operations, and operations of your own, may state no bytes; a note names them.
    """
    reading = read_exact(ops, prices)
    reading.rule = "exact-memory"
    clamped = set()
    for call in ops.calls:
        row = call.cost.totals()
        cells = max((facts.cells for facts in call.cost.facts), default=call.times)
        state = row.get("state_read_bytes", 0) + row.get("state_write_bytes", 0)
        spikes = row.get("spike_read_bytes", 0) + row.get("spike_write_bytes", 0)
        moved = (
            ("weights", row.get("weight_bytes", 0), row.get("weight_bytes_once", 0) / call.times),
            ("state", state, row.get("state_write_bytes", 0) / max(1, cells)),
            ("spikes", spikes, spikes / max(1, cells)),
        )
        for part, size, capacity in moved:
            reading.charge(call.layer, f"memory: {part}", size, prices.sram_byte(capacity))
            if capacity > prices.sram[-1][0]:
                clamped.add(call.layer)
    if clamped:
        reading.notes.append(f"{len(clamped)} layers hold more than the largest SRAM of {prices.name}: priced too low")
    note_silent_memory(reading, ops)
    return reading
