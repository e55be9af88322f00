"""What a network would cost without spikes, and the spiking one by the same model: arithmetic and memory.

A spike train of T timesteps tells one of T + 1 values. The network that carries as much without spikes therefore has
activations of b = ceil(log2(T + 1)) bits and runs once (Yan et al., arXiv 2409.08290, abstract; second hand: exact for
integrate-and-fire neurons with soft reset). Events up to L, after a SEW addition, tell one of L T + 1 values. Memory is
counted by one model on both sides, with one price an access:

    network without spikes   each weight read once, each activation written once and read once, b bits
    spiking network          each weight read at most once a timestep, and not more often than a spike asks for it;
                             each spike written and read, one bit a place (two where events are 2 or 3); membranes
                             read and written each timestep
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snncore import Ops
from snncore.energy import Prices
from snncore.opcount.cost import WEIGHTED

__all__ = [
    "Layer",
    "activation_bits",
    "dense_arithmetic",
    "dense_memory",
    "layers_of",
    "membranes",
    "multiply",
    "once",
    "spiking_memory",
]

FLOAT = 4  # bytes of a membrane as it was counted
ONCE = ("bias_add", "bn_folded_add", "pool_compare", "pool_mul", "elem_add", "elem_mul", "elem_div", "elem_compare")
"""Columns that a network without spikes has too: once, where the spiking one has them at every timestep."""


@dataclass(frozen=True)
class Layer:
    """A layer with weights, for one sample. Operations and places are those of all timesteps.

    steps: how many timesteps it ran. dense: multiply-accumulates of all of them. events: accumulations. weights:
    entries, biases too. places: entries of its input. spikes: its input is spikes; analog input is multiplied at every
    timestep. outside: its input is analog and comes from outside: 8 bits in a quantised network, whatever T.
    largest: event of its input. both: it multiplies two activations (a matrix product) and holds no weights.
    """

    steps: int
    dense: float
    events: float
    weights: int
    places: float
    spikes: bool
    outside: bool
    largest: int = 1
    both: bool = False

    def bits(self, prices: Prices, timesteps: int | None) -> int:
        """Bits of an entry of its input without spikes: of the price table (None), or as many as T timesteps tell."""
        if timesteps is None:
            return prices.bits
        return min(8, prices.bits) if self.outside else activation_bits(timesteps, self.largest)


def activation_bits(timesteps: int, largest: int = 1) -> int:
    """Bits of an activation that tells as much as a train of events up to `largest`: ceil(log2(largest T + 1))."""
    return (largest * max(1, timesteps)).bit_length()


def multiply(prices: Prices, bits: int, by: int) -> float:
    """Price of a product of two integers: an array multiplier has an adder for each pair of bits.

    The table's price is for prices.bits x prices.bits. Horowitz's own figures follow this: 3.1 pJ at 32 bits is 15.5
    times the 0.2 pJ at 8, where the pairs of bits are 16 times as many.
    """
    return prices.mul * bits * by / prices.bits**2


def layers_of(ops: Ops, timesteps: int) -> list[Layer]:
    """Layers with weights of what was counted, for one sample; calls of one layer are summed."""
    samples, steps = max(1, ops.samples or 1), _steps(ops, timesteps)
    merged: dict[tuple[str, str, bool], list[Any]] = {}
    for call in ops.calls:
        row = call.cost.totals()
        for facts in call.cost.facts:
            if facts.kind not in WEIGHTED:
                continue
            sums = merged.setdefault((call.layer, call.function, facts.spikes), [0, 0, 0, 1, facts])
            sums[3] = max(sums[3], facts.largest)
            counts = row.get("dense_mac", 0), row.get("ac_binary", 0) + row.get("ac_graded", 0), facts.in_size
            sums[:3] = (a + b for a, b in zip(sums, counts, strict=False))
    return [
        Layer(
            steps=steps[layer],
            dense=dense / samples,
            events=events / samples,
            weights=facts.weights + facts.bias,
            places=places / samples,
            spikes=facts.spikes,
            outside=facts.outside and not facts.spikes,
            largest=largest,
            both=facts.kind == "matmul",
        )
        for (layer, _, _), (dense, events, places, largest, facts) in merged.items()
    ]


def _steps(ops: Ops, timesteps: int) -> dict[str, int]:
    """By layer, how many timesteps its counts are a sum over: 1 after a mean over time, or in a network without any."""
    steps = {}
    for layer, row in ops.layers().items():
        timed = ops.samples is None or any(
            ops.unresolved(name, layer) < count for name, count in row.items() if name != "weight_bytes_once"
        )
        steps[layer] = max(1, timesteps) if timed else 1
    return steps


def dense_memory(layers: Sequence[Layer], prices: Prices, timesteps: int | None) -> float:
    """Picojoules of memory of a network without spikes, one pass; timesteps: None if it is not quantised."""
    total = 0.0
    for layer in layers:
        size = layer.weights * prices.bits / 8
        total += size * prices.sram_byte(size)
        activations = layer.places / layer.steps * layer.bits(prices, timesteps) / 8
        total += 2 * activations * prices.sram_byte(activations)
    return total


def spiking_memory(layers: Sequence[Layer], prices: Prices, scale: float) -> float:
    """Picojoules of weights and of what goes between layers, with `scale` times the spikes; without membranes."""
    total = 0.0
    for layer in layers:
        every = layer.steps * layer.weights
        read = min(layer.events * scale, every) if layer.spikes else every
        total += read * prices.bits / 8 * prices.sram_byte(layer.weights * prices.bits / 8)
        bits = layer.largest.bit_length() if layer.spikes else min(8, prices.bits) if layer.outside else prices.bits
        places = layer.places * bits / 8
        total += 2 * places * prices.sram_byte(places / layer.steps)
    return total


def membranes(ops: Ops, prices: Prices) -> float:
    """Picojoules of membranes, for one sample."""
    total = 0.0
    for call in ops.calls:
        row = call.cost.totals()
        moved = row.get("state_read_bytes", 0) + row.get("state_write_bytes", 0)
        if moved:
            cells = max((facts.cells for facts in call.cost.facts), default=1)
            held = row.get("state_write_bytes", 0) / FLOAT * prices.bits / 8 / max(1, cells)
            total += moved / FLOAT * prices.bits / 8 * prices.sram_byte(held)
    return total / max(1, ops.samples or 1)


def dense_arithmetic(layers: Sequence[Layer], other: float, prices: Prices, timesteps: int | None) -> float:
    """Picojoules of arithmetic, one pass. other: of what is no product of weights. timesteps: None if not quantised."""
    total = other
    for layer in layers:
        width = layer.bits(prices, timesteps)
        by = width if layer.both else prices.bits
        product = prices.mul if width == by == prices.bits else multiply(prices, width, by)
        total += layer.dense / layer.steps * (product + prices.mac - prices.mul)
    return total


def once(ops: Ops, timesteps: int, prices: Prices) -> float:
    """Picojoules, for one sample and pass, of biases, pooling, residuals, and a comparison for each neuron."""
    total, steps = 0.0, _steps(ops, timesteps)
    for call in ops.calls:
        row, n = call.cost.totals(), steps[call.layer]
        for name in ONCE:
            kind = "compare" if name.endswith("compare") else "add" if name.endswith("add") else "mul"
            total += row.get(name, 0) / n * getattr(prices, kind)
        total += row.get("places", 0) / n * prices.compare
        for facts in call.cost.facts:
            if facts.kind == "residual":
                total += facts.out_size / n * prices.add
            elif facts.kind == "pool" and row.get("pool_mul"):
                total += facts.in_size / n * prices.add
    return total / max(1, ops.samples or 1)
