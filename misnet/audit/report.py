"""Counting a network over a data set, and the report that comes of it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from misnet.audit.subject import Subject
from misnet.models.contract import Model, take
from misnet.models.summary import empty_inputs
from misnet.training.results import spread
from snncore import Ops, Tensor, count_ops, no_grad, to_device
from snncore.backend import Array
from snncore.energy import Prices, Reading, apply_rule, energy_by_sample
from snncore.nn import BatchNorm
from snncore.opcount.cost import WEIGHTED, exact_sum

__all__ = ["Claim", "calibrate", "count_batches", "dense_operations", "energy_claim", "report"]


def count_batches(model: Model, batches: Iterable[Any], device: str = "cpu", details: bool = False) -> Ops:
    """Count the network in evaluation mode over all batches, each as `misnet.models.contract.take` has them.

    details: keep the counts of each sample in each layer and timestep, and not only their sums (`snncore.Ops`).
    """
    ops = Ops(details=details)
    ops.batches = 0
    model.eval()
    for batch in batches:
        *streams, labels = take(model, batch)
        with no_grad(), count_ops(samples=len(labels), timesteps=model.config.timesteps) as of_batch:
            model(*(Tensor(to_device(x, device)) for x in streams))
        ops.extend(of_batch)
    return ops


def calibrate(model: Model, *streams: Array) -> None:
    """Set the running statistics of a network that was not trained to those of one batch, so that its neurons fire."""
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    with no_grad():
        model(*map(Tensor, streams))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    model.eval()


def dense_operations(model: Model) -> dict[str, int]:
    """Dense multiply-accumulates of one sample, all timesteps, by shape alone: a pass over no samples counts them.

    dense_mac: taps inside the image only. dense_mac_padded: taps on the padding too, as FLOP counters have it.
    first_padded: of it, the first layer of each input. The network is left in evaluation mode.
    """
    model.eval()
    with no_grad(), count_ops(samples=0, timesteps=model.config.timesteps) as ops:
        model(*empty_inputs(model))
    sums = dict.fromkeys(("dense_mac", "dense_mac_padded", "first_padded"), 0)
    for call in ops.calls:
        lead, columns = call.cost.blocks[0]
        lead = (lead[0], 1) if len(lead) == 2 else (1,) * len(lead)  # one sample in place of none
        for name in ("dense_mac", "dense_mac_padded"):
            sums[name] += exact_sum(columns.get(name, 0), lead)
        if any(facts.kind in WEIGHTED and facts.outside for facts in call.cost.facts):
            sums["first_padded"] += exact_sum(columns["dense_mac_padded"], lead)
    return sums


@dataclass(frozen=True)
class Claim:
    """What a claimed energy implies. rate: mean input rate under the rule of the paper, None if none would do.

    rate_all_ac: the same if every operation were an accumulation. measured: the rate of this run.
    ratio: claimed over measured energy, by rule.
    """

    mj: float
    rate: float | None
    rate_all_ac: float
    measured: float
    ratio: dict[str, float]


def energy_claim(mj: float, ops: Ops, readings: dict[str, Reading], prices: Prices) -> Claim:
    """Compare a claim of `mj` millijoules for one sample with what was measured."""
    paper = apply_rule("paper", ops, prices)
    samples = max(1, ops.samples or 1)
    dense, first = paper.extra["dense_ac"] / samples, paper.mac / samples
    left = mj * 1e9 - first * prices.mac
    return Claim(
        mj=mj,
        rate=left / (dense * prices.add) if left >= 0 else None,
        rate_all_ac=mj * 1e9 / ((dense + first) * prices.add),
        measured=paper.extra["mean_rate"],
        ratio={name: mj / (reading.energy_mj / samples) for name, reading in readings.items() if reading.energy_mj},
    )


def _layers(ops: Ops, readings: dict[str, Reading]) -> list[dict[str, Any]]:
    samples = max(1, ops.samples or 1)
    energy = {name: reading.by_layer() for name, reading in readings.items()}
    functions: dict[str, set[str]] = {}
    for call in ops.calls:
        functions.setdefault(call.layer, set()).add(call.function)
    table = []
    for layer, row in ops.layers().items():
        line: dict[str, Any] = {"layer": layer, "functions": sorted(functions[layer]), "counts": row}
        if row.get("places_in"):
            line["input_rate"] = row.get("events_in", 0) / row["places_in"]
        if row.get("places"):
            line["firing_rate"] = row.get("spikes", 0) / row["places"]
            if not ops.unresolved("places", layer):
                spikes, places = (ops.by_timestep(name, layer) for name in ("spikes", "places"))
                line["firing_rate_by_timestep"] = [s / max(1, p) for s, p in zip(spikes, places, strict=True)]
        line["energy_mj_per_sample"] = {name: of[layer] / samples for name, of in energy.items() if layer in of}
        table.append(line)
    return table


def _spread(rule: str, ops: Ops, prices: Prices) -> dict[str, Any] | None:
    """Return n, mean, standard deviation and extremes of the millijoules of a sample, if the rule can tell them."""
    mj = energy_by_sample(rule, ops, prices)
    return None if mj is None else asdict(spread(mj.tolist()))


def report(subject: Subject, readings: dict[str, Reading], prices: dict[str, Prices]) -> dict[str, Any]:
    """Return everything that was found as plain values, as JSON can hold them.

    Counts and energies are sums over all samples; what is for one sample (all streams, all timesteps) says so.
    """
    ops, steps = subject.ops, max(1, subject.timesteps)
    samples, totals = max(1, ops.samples or 1), ops.totals()
    rules = {
        name: {
            "mac": reading.mac,
            "ac": reading.ac,
            "energy_mj": reading.energy_mj,
            "per_sample": {
                "mac": reading.mac / samples,
                "ac": reading.ac / samples,
                "energy_mj": reading.energy_mj / samples,
            },
            "parts_mj_per_sample": {part: mj / samples for part, mj in reading.by_part().items()},
            "prices": prices[name].name,
            "spread": _spread(name, ops, prices[name]),
            "notes": reading.notes,
            "extra": reading.extra,
        }
        for name, reading in readings.items()
    }
    dense = totals["dense_mac"] / samples
    price = next(iter(prices.values()))
    events_of = [name for name in ("ac_binary", "ac_graded") if not ops.unresolved(name, by="sample")]
    by_sample = [ops.by_sample(name) for name in events_of] if len(events_of) == 2 else []
    events = [sum(counts) for counts in zip(*by_sample, strict=True)]
    return {
        "title": subject.title,
        "network": subject.network,
        "weights": subject.weights,
        "parameters": subject.parameters,
        "data": subject.data,
        "warnings": subject.warnings,
        "samples": ops.samples,
        "timesteps": subject.timesteps,
        "totals": totals,
        "rules": rules,
        "dense": {
            "mac": totals["dense_mac"],
            "mac_per_sample": dense,
            "mac_per_sample_and_timestep": dense / steps,
            "energy_mj_per_sample": dense * price.mac * 1e-9,
            "energy_mj_per_sample_and_timestep": dense / steps * price.mac * 1e-9,
        },
        "accumulations_of_a_sample": {"least": min(events), "most": max(events)} if events else None,
        "firing_rate": totals["spikes"] / max(1, totals["places"]),
        "layers": _layers(ops, readings),
        "price_tables": {p.name: {"process": p.process, "source": p.source} for p in prices.values()},
    }
