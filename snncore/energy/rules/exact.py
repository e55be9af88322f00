"""Everything that was executed, priced; and the same with the memory that it needs."""

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.opcount import Ops

__all__ = ["exact", "exact_memory"]

ADDS = (
    "bias_add",
    "bn_stat_add",
    "charge_add",
    "reset_add",
    "neuron_add",
    "pool_add",
    "residual_add",
    "elem_add",
)
MULS = ("bn_stat_mul", "leak_mul", "neuron_mul", "w_mul", "alpha_mul", "pool_mul", "elem_mul", "elem_div")
COMPARES = ("compare", "pool_compare", "elem_compare")
SPECIALS = ("special", "neuron_special")


def exact(ops: Ops, prices: Prices) -> Reading:
    """Price every operation that was executed.

    Counts: accumulations at the price of an addition (a graded event once, whatever its value), multiply-accumulates
    of analog input, biases, batch normalisation (folded into the weights in evaluation: one addition an entry), leak,
    charge, comparison and reset of neurons, alpha and W, pooling, residual additions, elementwise arithmetic.
    A division is priced as a multiplication. Leaves out: memory, the backward pass, picking, assigning and gating
    (no arithmetic), and exponentials unless the table prices them (`extra` then says how many there were).
    Wrong where: hardware does not add a graded event in one operation (see `ac_graded_by_value`), or cannot fold.
    """
    reading = Reading("exact")
    training = any(row.get("bn_stat_add") for row in ops.layers().values())
    unpriced = 0
    for layer, row in ops.layers().items():
        reading.mac += row.get("mac", 0)
        reading.ac += row.get("ac_binary", 0) + row.get("ac_graded", 0)
        reading.charge(layer, "mac", row.get("mac", 0), prices.mac)
        reading.charge(layer, "ac", row.get("ac_binary", 0) + row.get("ac_graded", 0), prices.add)
        if training:
            reading.charge(layer, "batch norm", row.get("bn_mul", 0), prices.mul)
        reading.charge(layer, "batch norm", row.get("bn_add" if training else "bn_folded_add", 0), prices.add)
        for names, price in ((ADDS, prices.add), (MULS, prices.mul), (COMPARES, prices.compare)):
            for name in names:
                reading.charge(layer, _part(name), row.get(name, 0), price)
        specials = sum(row.get(name, 0) for name in SPECIALS)
        if prices.special is not None:
            reading.charge(layer, "special", specials, prices.special)
        else:
            unpriced += specials
    if unpriced:
        reading.extra["unpriced_special"] = unpriced
        reading.notes.append(f"{unpriced:,} exponentials and sigmoids have no price in {prices.name}")
    return reading


def _part(column: str) -> str:
    groups = {"pool": "pooling", "residual": "residual", "elem": "arithmetic", "bias": "bias", "bn": "batch norm"}
    return groups.get(column.partition("_")[0], "neurons")


def exact_memory(ops: Ops, prices: Prices) -> Reading:
    """`exact`, and an SRAM access for what it touches.

    Counts, beyond `exact`: weights read anew for every accumulation (no reuse), spikes read and written one byte a
    place, membranes read and written each timestep; each memory as large as what the layer keeps in it (weights; one
    timestep of one sample). Leaves out: analog values between layers, addressing, DRAM, leakage, the network on chip.
    Wrong where: hardware reuses weights (see `weight_bytes_once`), packs spikes into bits, or keeps membranes in
    registers. Layers larger than the largest SRAM of the table get its price, which is too low.
    """
    reading = exact(ops, prices)
    reading.rule = "exact-memory"
    clamped = set()
    for call in ops.calls:
        row = call.cost.totals()
        cells = max((facts.cells for facts in call.cost.facts), default=1)
        state = row.get("state_read_bytes", 0) + row.get("state_write_bytes", 0)
        spikes = row.get("spike_read_bytes", 0) + row.get("spike_write_bytes", 0)
        moved = (
            ("weights", row.get("weight_bytes", 0), row.get("weight_bytes_once", 0)),
            ("state", state, row.get("state_write_bytes", 0) / max(1, cells)),
            ("spikes", spikes, spikes / max(1, cells)),
        )
        for part, size, capacity in moved:
            reading.charge(call.layer, f"memory: {part}", size, prices.sram_byte(capacity))
            if capacity > prices.sram[-1][0]:
                clamped.add(call.layer)
    if clamped:
        reading.notes.append(f"{len(clamped)} layers hold more than the largest SRAM of {prices.name}: priced too low")
    return reading
