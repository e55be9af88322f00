"""The network beside networks that do not spike: the same layers dense, at several precisions, and quantised.

`misnet.audit.without_spikes` is the model; here each gets its energy and the firing rate at which both cost the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

from misnet.audit.without_spikes import (
    activation_bits,
    dense_arithmetic,
    dense_memory,
    layers_of,
    membranes,
    once,
    spiking_memory,
)
from snncore import Ops
from snncore.energy import DEFAULT_TABLE, Prices, apply_rule, load_prices
from snncore.energy.limits import silent
from snncore.opcount.cost import WEIGHTED

__all__ = ["CHEAPER", "DEARER", "PRECISIONS", "PUBLIC", "baselines", "break_even"]

PRECISIONS = (DEFAULT_TABLE, "horowitz-45nm-fp16", "horowitz-45nm-int8")
QUANTISED = "horowitz-45nm-int8"  # prices and weights of the quantised network
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


def baselines(ops: Ops, timesteps: int, tables: Sequence[Prices] = (), told: str = "") -> dict[str, Any]:
    """Return the network beside networks that do not spike, for one sample, as JSON can hold it.

    tables: prices beyond those of PRECISIONS. `spiking`: this network at each price table. `others`: the same layers,
    once and without spikes: dense at each table, and quantised, with activations of ceil(log2(T + 1)) bits and weights
    of 8. Of each: energy without and with memory; `ratio`, how many times as much the spiking network takes at the same
    prices, with memory; and the firing rate at which both cost the same, if the spikes of all layers are scaled alike:
    `rate`, or None and a `why`. The rate is that of the neurons, or of the inputs where no neuron was counted.
    told: what rates `ops` was counted by, in words, where none of them was measured.
    """
    layers, bits, quiet = layers_of(ops, timesteps), activation_bits(timesteps), silent(ops)
    samples, (rate, rate_of) = max(1, ops.samples or 1), _rate(ops)
    found: dict[str, Any] = {"spiking": [], "others": [], "activation_bits": bits, "timesteps": timesteps}
    by_name = {prices.name: prices for prices in (*map(load_prices, PRECISIONS), *tables)}
    for name, prices in by_name.items():
        still, moving = (apply_rule("exact", of, prices).energy_mj * 1e9 / samples for of in (quiet, ops))
        states = membranes(ops, prices)

        def arithmetic(scale: float, still: float = still, moving: float = moving) -> float:
            return still + scale * (moving - still)

        def whole(scale: float, prices: Prices = prices, states: float = states, of: Any = arithmetic) -> float:
            return of(scale) + states + spiking_memory(layers, prices, scale)

        mine = {"arithmetic_mj": moving * 1e-9, "energy_mj": whole(1.0) * 1e-9}
        found["spiking"].append({"prices": name, "bits": prices.bits} | mine)
        other = once(ops, timesteps, prices)
        wanted: list[tuple[str, str, int | None]] = [("dense", f"dense, {_words(prices)}", None)]
        if name == QUANTISED:
            wanted.append(("quantised", f"quantised, {bits}-bit activations", timesteps))
        for kind, words, steps in wanted:
            plain = dense_arithmetic(layers, other, prices, steps)
            held = plain + dense_memory(layers, prices, steps)
            found["others"].append(
                {
                    "kind": kind,
                    "name": words,
                    "prices": name,
                    "bits": prices.bits if steps is None else bits,
                    "mac": sum(layer.dense / layer.steps for layer in layers),
                    "arithmetic_mj": plain * 1e-9,
                    "energy_mj": held * 1e-9,
                    "ratio": whole(1.0) / held if held else None,
                    "break_even_arithmetic": _break_even(arithmetic, plain, rate),
                    "break_even": _break_even(whole, held, rate),
                }
            )
    return found | {"rate": rate, "rate_of": rate_of, "rate_told": told, "public": [dict(one) for one in PUBLIC]}


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
