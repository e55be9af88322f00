"""Counting a network over a data set, and the report that comes of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from misnet.audit.bracket import bracket
from misnet.audit.ends import widen
from misnet.audit.provenance import SCHEMA, made_by, price_values
from misnet.audit.spread import spread_of, unpriced
from misnet.audit.subject import Subject
from misnet.models.contract import Model, Scores, take
from misnet.models.summary import empty_inputs
from snncore import Ops, Tensor, count_ops, no_grad, to_device
from snncore.backend import Array
from snncore.energy import Prices, Reading, apply_rule
from snncore.nn import BatchNorm
from snncore.opcount.cost import WEIGHTED, exact_sum

__all__ = ["batch_by_batch", "calibrate", "count_batches", "dense_operations", "evenly", "report"]


def count_batches(
    model: Model,
    batches: Iterable[Any],
    device: str = "cpu",
    seen: Callable[[Scores, Array], None] | None = None,
    details: bool = False,
) -> Ops:
    """Count the network in evaluation mode over all batches, each as `misnet.models.contract.take` has them.

    seen: called with the scores and labels of each batch, on the device.
    details: keep the counts of each sample in each layer and timestep, and not only their sums (`snncore.Ops`).
    """
    model.eval()
    steps = model.config.timesteps
    with no_grad(), count_ops(timesteps=steps, details=details, fixed=True) as ops:
        for scores, labels in batch_by_batch(model, batches, device, ops):
            if seen is not None:
                seen(scores, labels)
    ops.fold()
    return ops


def batch_by_batch(model: Model, batches: Iterable[Any], device: str, ops: Ops) -> Iterator[tuple[Scores, Array]]:
    """Yield scores and labels of each batch, on the device, once `ops` has counted it: within `count_ops`."""
    for batch in batches:
        *streams, labels = take(model, batch)
        ops.next_batch(samples=len(labels))
        yield model(*(Tensor(to_device(x, device)) for x in streams)), to_device(labels, device)


def evenly(samples: int, of: int) -> list[int]:
    """The numbers of so many samples, or of all, spread evenly over `of`."""
    n = min(samples, of)
    return [k * of // n for k in range(n)]


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
    first, first_padded: of them, the first layer of each input. The network is left in evaluation mode.
    """
    model.eval()
    with no_grad(), count_ops(samples=0, timesteps=model.config.timesteps) as ops:
        model(*empty_inputs(model))
    sums = dict.fromkeys(("dense_mac", "dense_mac_padded", "first", "first_padded"), 0)
    for call in ops.calls:
        lead, columns = call.cost.blocks[0]
        lead = (lead[0], 1) if len(lead) == 2 else (1,) * len(lead)  # one sample in place of none
        outside = any(facts.kind in WEIGHTED and facts.outside for facts in call.cost.facts)
        for name, first in (("dense_mac", "first"), ("dense_mac_padded", "first_padded")):
            found = exact_sum(columns.get(name, 0), lead)
            sums[name] += found
            sums[first] += found if outside else 0
    return sums


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


def report(
    subject: Subject, readings: dict[str, Reading], prices: dict[str, Prices], command: str = ""
) -> dict[str, Any]:
    """Return everything that was found as plain values, as JSON can hold them. command: that asked for it.

    Counts and energies are sums over all samples; what is for one sample (all streams, all timesteps) says so.
    Raises ValueError for a SOURCE_DATE_EPOCH that is no date.
    """
    if subject.high is not None:
        above = {name: apply_rule(name, subject.high, prices[name]) for name in readings}
        ends = (replace(subject, high=None), readings), (replace(subject, ops=subject.high, high=None), above)
        return widen(*(report(end, of, prices, command) for end, of in ends))
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
            "bracket": bracket(reading, samples),
            "parts_mj_per_sample": {part: mj / samples for part, mj in reading.by_part().items()},
            "spread": None if subject.by_rates else spread_of(name, ops, prices[name], subject.alone),
            "prices": prices[name].name,
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
        "schema": SCHEMA,
        "provenance": made_by(command, subject.device),
        "title": subject.title,
        "network": subject.network,
        "weights": subject.weights,
        "weights_sha256": subject.weights_sha256,
        "trained": subject.trained,
        "run": subject.run,
        "accuracy": subject.accuracy,
        "parameters": subject.parameters,
        "data": subject.data,
        "warnings": subject.warnings,
        "samples": ops.samples,
        "by_rates": subject.by_rates,
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
        "firing_rate": totals["spikes"] / totals["places"] if totals["places"] else None,
        "layers": _layers(ops, readings),
        "unpriced_per_sample": {name: n / samples for name, n in unpriced(totals, prices.values()).items()},
        "price_tables": price_values(prices.values()),
    }
