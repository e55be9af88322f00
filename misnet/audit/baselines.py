"""What the network would cost if it did not spike: the same layers dense, at several precisions, and quantised.

A spike train of T timesteps tells one of T + 1 values. The network that carries as much without spikes therefore has
activations of b = ceil(log2(T + 1)) bits and runs once (Yan et al., arXiv 2409.08290, abstract; second hand: exact for
integrate-and-fire neurons with soft reset). Memory is counted by one model on both sides, with one price an access:

    network without spikes   each weight read once, each activation written once and read once, b bits
    spiking network          each weight read at most once a timestep, and not more often than a spike asks for it;
                             each spike written and read, one bit a place; membranes read and written each timestep
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from snncore import Ops
from snncore.energy import DEFAULT_TABLE, Prices, apply_rule, load_prices
from snncore.energy.limits import silent
from snncore.opcount.cost import WEIGHTED

__all__ = [
    "CHEAPER",
    "DEARER",
    "PRECISIONS",
    "PUBLIC",
    "Layer",
    "activation_bits",
    "baselines",
    "break_even",
    "layers_of",
    "multiply",
]

PRECISIONS = (DEFAULT_TABLE, "horowitz-45nm-fp16", "horowitz-45nm-int8")
QUANTISED = "horowitz-45nm-int8"  # prices and weights of the quantised network
FLOAT = 4  # bytes of a membrane as it was counted
ONCE = ("bias_add", "bn_folded_add", "pool_compare", "pool_mul", "elem_add", "elem_mul", "elem_div", "elem_compare")
"""Columns that a network without spikes has too: once, where the spiking one has them at every timestep."""

DEARER, CHEAPER = "dearer even without a single spike", "cheaper even with every neuron firing"

PUBLIC = (
    {
        "rate": 0.057,
        "timesteps": "5",
        "source": "Yan, Bai, Tang and Wong, arXiv 2409.08290v4 (May 2026), abstract: typical neuromorphic hardware",
    },
    {
        "rate": 0.064,
        "timesteps": "5 to 10",
        "source": "the same, v2 (July 2025), abstract",
    },
    {
        "rate": 0.0599,
        "timesteps": "5 to 10",
        "source": "K. Heckel, spyx, pull request 76 (July 2026): that model, 8-bit weights, mean over T",
    },
)
"""Break-even rates of public analyses, read in the sources named. They also price the routing of spikes on a chip."""


@dataclass(frozen=True)
class Layer:
    """A layer with weights, for one sample. Operations and places are those of all timesteps.

    steps: how many timesteps it ran. dense: multiply-accumulates of all of them. events: accumulations. weights:
    entries, biases too. places: entries of its input. spikes: its input is spikes; analog input is multiplied at every
    timestep. outside: its input is analog and comes from outside: 8 bits in a quantised network, whatever T.
    both: it multiplies two activations (a matrix product) and holds no weights.
    """

    steps: int
    dense: float
    events: float
    weights: int
    places: float
    spikes: bool
    outside: bool
    both: bool = False


def activation_bits(timesteps: int) -> int:
    """Bits of an activation that tells as much as a spike train: ceil(log2(T + 1))."""
    return math.ceil(math.log2(max(1, timesteps) + 1))


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
            sums = merged.setdefault((call.layer, call.function, facts.spikes), [0, 0, 0, facts])
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
            both=facts.kind == "matmul",
        )
        for (layer, _, _), (dense, events, places, facts) in merged.items()
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


def _dense_memory(layers: Sequence[Layer], prices: Prices, bits: int) -> float:
    """Picojoules of memory of a network without spikes, one pass, activations of `bits` bits."""
    total = 0.0
    for layer in layers:
        size = layer.weights * prices.bits / 8
        total += size * prices.sram_byte(size)
        width = max(bits, min(8, prices.bits)) if layer.outside else bits
        activations = layer.places / layer.steps * width / 8
        total += 2 * activations * prices.sram_byte(activations)
    return total


def _spiking_memory(layers: Sequence[Layer], prices: Prices, scale: float) -> float:
    """Picojoules of weights and of what goes between layers, with `scale` times the spikes; without membranes."""
    total = 0.0
    for layer in layers:
        every = layer.steps * layer.weights
        read = min(layer.events * scale, every) if layer.spikes else every
        total += read * prices.bits / 8 * prices.sram_byte(layer.weights * prices.bits / 8)
        bits = 1 if layer.spikes else min(8, prices.bits) if layer.outside else prices.bits
        places = layer.places * bits / 8
        total += 2 * places * prices.sram_byte(places / layer.steps)
    return total


def _membranes(ops: Ops, prices: Prices) -> float:
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


def _dense_arithmetic(layers: Sequence[Layer], once: float, prices: Prices, bits: int) -> float:
    """Picojoules of arithmetic, one pass. once: of what is not multiply-accumulates. bits: of an activation."""
    total = once
    for layer in layers:
        width = max(bits, min(8, prices.bits)) if layer.outside else bits
        by = width if layer.both else prices.bits
        product = prices.mul if width == by == prices.bits else multiply(prices, width, by)
        total += layer.dense / layer.steps * (product + prices.mac - prices.mul)
    return total


def _once(ops: Ops, timesteps: int, prices: Prices) -> float:
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


def break_even(spiking: Callable[[float], float], other: float, most: float) -> float | None:
    """How many times the measured spikes make the energies equal: spiking(s) = other, spiking rising, 0 < s <= most.

    None if the spiking network costs more even without a spike, or less even with the most that there can be.
    """
    low, high = 0.0, most
    if spiking(low) >= other or spiking(high) < other:
        return None
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if spiking(middle) < other else (low, middle)
    return high


def baselines(ops: Ops, timesteps: int, tables: Sequence[Prices] = ()) -> dict[str, Any]:
    """Return the network beside networks that do not spike, for one sample, as JSON can hold it.

    tables: prices beyond those of PRECISIONS. `spiking`: this network at each price table. `others`: the same layers,
    once and without spikes: dense at each table, and quantised, with activations of ceil(log2(T + 1)) bits and weights
    of 8. Of each: energy without and with memory; `ratio`, how many times as much the spiking network takes at the same
    prices, with memory; and the firing rate at which both cost the same, if the spikes of all layers are scaled alike:
    `rate`, or None and a `why`. The rate is that of the neurons, or of the inputs where no neuron was counted.
    """
    layers, bits, quiet = layers_of(ops, timesteps), activation_bits(timesteps), silent(ops)
    samples, (rate, rate_of) = max(1, ops.samples or 1), _rate(ops)
    found: dict[str, Any] = {"spiking": [], "others": [], "activation_bits": bits, "timesteps": timesteps}
    by_name = {prices.name: prices for prices in (*map(load_prices, PRECISIONS), *tables)}
    for name, prices in by_name.items():
        still, moving = (apply_rule("exact", of, prices).energy_mj * 1e9 / samples for of in (quiet, ops))
        membranes = _membranes(ops, prices)

        def arithmetic(scale: float, still: float = still, moving: float = moving) -> float:
            return still + scale * (moving - still)

        def whole(scale: float, prices: Prices = prices, membranes: float = membranes, of: Any = arithmetic) -> float:
            return of(scale) + membranes + _spiking_memory(layers, prices, scale)

        mine = {"arithmetic_mj": moving * 1e-9, "energy_mj": whole(1.0) * 1e-9}
        found["spiking"].append({"prices": name, "bits": prices.bits} | mine)
        once = _once(ops, timesteps, prices)
        wanted = [(f"dense, {_words(prices)}", prices.bits)]
        if name == QUANTISED:
            wanted.append((f"quantised, {bits}-bit activations", bits))
        for words, width in wanted:
            plain = _dense_arithmetic(layers, once, prices, width)
            held = plain + _dense_memory(layers, prices, width)
            found["others"].append(
                {
                    "kind": "dense" if width == prices.bits else "quantised",
                    "name": words,
                    "prices": name,
                    "bits": width,
                    "mac": sum(layer.dense / layer.steps for layer in layers),
                    "arithmetic_mj": plain * 1e-9,
                    "energy_mj": held * 1e-9,
                    "ratio": whole(1.0) / held if held else None,
                    "break_even_arithmetic": _break_even(arithmetic, plain, rate),
                    "break_even": _break_even(whole, held, rate),
                }
            )
    return found | {"rate": rate, "rate_of": rate_of, "public": [dict(one) for one in PUBLIC]}


def _rate(ops: Ops) -> tuple[float | None, str]:
    """Spikes of a neuron and timestep; events of a place of the inputs where no neuron was counted."""
    totals = ops.totals()
    if totals["places"]:
        return totals["spikes"] / totals["places"], "neurons"
    inputs = [facts for _, facts in ops.facts() if facts.kind in WEIGHTED and facts.spikes]
    places = sum(facts.in_size for facts in inputs)
    return sum(facts.events for facts in inputs) / places if places else None, "inputs"


def _words(prices: Prices) -> str:
    return prices.name.rpartition("-")[2] if prices.name in PRECISIONS else prices.name


def _break_even(spiking: Callable[[float], float], other: float, rate: float | None) -> dict[str, Any]:
    """The firing rate at which both cost the same, or the word for why there is none."""
    if not rate:
        return {"rate": None, "why": "no spike was counted, and so no rate can be scaled"}
    scale = break_even(spiking, other, 1 / rate)
    if scale is not None:
        return {"rate": scale * rate, "why": None}
    why = DEARER if spiking(0.0) >= other else CHEAPER
    return {"rate": None, "why": why}
