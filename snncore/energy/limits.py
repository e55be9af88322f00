"""The least and the most that a network can count: no spike at all, and every neuron firing at every timestep."""

import math
from dataclasses import replace
from typing import Any

from snncore.opcount import OpCount, Ops
from snncore.opcount.cost import WEIGHTED, Facts

__all__ = ["all_firing", "largest_event", "silent"]

FLOAT = 4  # bytes of a weight where a call does not say it
NOTHING: dict[str, Any] = {
    "events": 0,
    "value_sum": 0.0,
    "value_taps": 0.0,
    "unit": True,
    "signed_unit": True,
    "effective": 0,
    "effective_unit": 0,
}


def largest_event(ops: Ops) -> int:
    """Largest event that a layer with weights got: 1 of binary spikes, 2 after one SEW addition; at least 1."""
    weighted = [facts for _, facts in ops.facts() if facts.kind in WEIGHTED and facts.spikes]
    return max([1, *(_largest(facts) for facts in weighted)])


def silent(ops: Ops) -> Ops:
    """Return what the same calls would count if no spike came in or was emitted: the least for these shapes.

    Analog input from outside stays: its multiply-accumulates are dense. Totals alone are meant: the counts of a call
    belong to no timestep and no sample.
    """
    return _changed(ops, fires=False)


def all_firing(ops: Ops) -> Ops:
    """Return what the same calls would count if every place held the largest event: the most for these shapes.

    Events of a layer are as large as the largest it got. Means of spikes are as large as the largest event of all
    layers. A claim above what a rule makes of this is impossible for the network, whatever its input, unless another
    input makes larger events.
    """
    return _changed(ops, fires=True)


def _changed(ops: Ops, fires: bool) -> Ops:
    changed = Ops(timesteps=ops.timesteps)
    changed.told, changed.batches = dict(ops.told), ops.batches
    most = largest_event(ops)
    for call in ops.calls:
        row, facts = dict(call.cost.totals()), call.cost.facts
        if "weight_bytes_once" in row:  # of one call: what stands here for several is counted as one again
            row["weight_bytes_once"] //= call.times
        seen = []
        for one in facts:
            if one.kind in WEIGHTED:
                one = _weights(row, one, most, fires)
            elif one.kind == "neuron":
                one = _neuron(row, one, fires)
            elif one.kind in ("residual", "pool") and one.spikes:
                one = _moved(row, one, fires)
            seen.append(one)
        changed.calls.append(replace(call, cost=OpCount((), row, tuple(seen))))
    return changed


def _largest(facts: Facts) -> int:
    return facts.largest or (1 if facts.unit or not facts.events else 2)


def _weights(row: dict[str, int], facts: Facts, most: int, fires: bool) -> Facts:
    dense = row.get("dense_mac", 0)
    if not facts.spikes:
        if facts.outside:
            return facts
        row["mac_nonzero"] = dense if fires else 0
        if not fires:
            return replace(facts, **NOTHING)
        value, taps = max(facts.value_sum, most * facts.in_size), max(facts.value_taps, most * dense)
        extra: dict[str, Any] = {"effective": dense, "effective_unit": 0}
        return replace(facts, events=facts.in_size, value_sum=float(value), value_taps=float(taps), **extra)
    largest = _largest(facts)
    product = largest**2 if facts.kind == "matmul" else largest  # both sides may be spikes
    for name in [name for name in row if name.startswith("ac_")]:
        row[name] = 0
    if fires:
        row |= {"ac_binary": dense} if largest == 1 else {"ac_graded": dense, "ac_graded_by_value": dense * product}
    weights = facts.weights + facts.bias
    itemsize = row.get("weight_bytes_once", 0) // weights if weights else FLOAT
    row["weight_bytes"] = dense * itemsize if fires else 0
    row["events_in"] = row.get("places_in", 0) if fires else 0
    if not fires:
        return replace(facts, **NOTHING)
    value, taps = float(facts.in_size * largest), float(dense * product)
    unit = dense if facts.signed_unit else 0
    more: dict[str, Any] = {"effective": dense, "effective_unit": unit}
    return replace(facts, events=facts.in_size, value_sum=value, value_taps=taps, **more)


def _neuron(row: dict[str, int], facts: Facts, fires: bool) -> Facts:
    spikes = facts.out_size if fires else 0
    if facts.layer != "Fire":
        row["reset_set" if facts.hard else "reset_add"] = spikes
    row["spikes"] = spikes
    if "spike_read_bytes" in row:  # spikes charge its membrane, and each picks or multiplies a weight
        touched = row.get("w_select", 0) + row.get("w_mul", 0)
        itemsize = row.get("weight_bytes", 0) // touched if touched else 0
        row["charge_add"] = facts.in_size if fires else 0
        if touched:
            row["w_mul" if row.get("w_mul") else "w_select"] = facts.in_size if fires else 0
            row["w_select" if row.get("w_mul") else "w_mul"] = 0
            row["weight_bytes"] = facts.in_size * itemsize if fires else 0
    return replace(facts, events=spikes)


def _moved(row: dict[str, int], facts: Facts, fires: bool) -> Facts:
    if facts.kind == "pool":
        window = math.prod(facts.kernel)
        row["pool_add"] = facts.out_size * window if fires and row.get("pool_mul") else 0
    elif row.get("residual_logic"):
        row["residual_logic"] = facts.out_size if fires else 0
    else:
        row["residual_add"] = facts.out_size if fires else 0
    events = facts.in_size if fires else 0
    return replace(facts, events=events, value_sum=float(events))
