"""The cost of one layer of a table for given inputs: that of the operation of the engine, its weights not needed."""

from dataclasses import replace

import numpy as np

from misnet.audit.layers_row import Row
from snncore import OpCount
from snncore import functions as F
from snncore.context import changed
from snncore.firing import Firing
from snncore.functions.mlif import mlif_cost
from snncore.opcount.origin import Origin

__all__ = ["FUNCTIONS", "cost_of", "input_shape", "other_shape"]

FUNCTIONS = {
    "conv": "Conv2d",
    "depthwise": "GroupedConv2d",
    "linear": "Linear",
    "matmul": "MatMul",
    "max_pool": "MaxPool2d",
    "avg_pool": "AvgPool2d",
    "sum_pool": "SumPool2d",
    "global_avg_pool": "GlobalAvgPool",
    "batch_norm": "BatchNorm",
    "lif": "LIF",
    "if": "IF",
    "plif": "PLIF",
    "clif": "CLIF",
    "mlif": "MLIF",
    "li": "LI",
    "residual": "SEW",
}
"""What the operation of each kind of layer is called."""

FIRES = ("compare", "reset_add", "reset_set", "spikes", "places", "spike_write_bytes")
"""What a neuron does when it fires: an integrator (`li`) does none of it."""


def input_shape(row: Row, t: int, n: int) -> tuple[int, ...]:
    """Shape of the input of a layer over t timesteps and n samples; of a neuron, of its spikes."""
    if row.kind == "matmul":
        return (t, n, row.groups, row.size[0], row.channels[0])  # [T, N, heads, rows, inner]
    return (t, n, *row.size, row.channels[0])


def other_shape(row: Row, t: int, n: int) -> tuple[int, ...]:
    """Shape of the other input: the right side of a product, else that of the input."""
    return (t, n, row.groups, *row.channels) if row.kind == "matmul" else input_shape(row, t, n)


def cost_of(row: Row, x: np.ndarray, other: np.ndarray | None = None, outside: bool = False) -> OpCount:
    """Cost of a layer whose input is x, of the shape that `input_shape` says; of a neuron, x is what it fires.

    other: the second input, of a residual, an mlif (the spikes that come in), or a product of spikes and spikes.
    outside: x is data, and timesteps that repeat the one before are told as such.
    Weights and outputs are stood in for by arrays that take no memory: counts depend on their shapes alone.
    """
    averaged = row.values is not None and row.values.kind == "averaged"
    with changed("origin", Origin(outside, averaged)):
        return _cost(row, x, other)


def _cost(row: Row, x: np.ndarray, other: np.ndarray | None) -> OpCount:
    if row.kind in ("conv", "depthwise"):
        return _conv(row, x)
    if row.kind == "linear":
        (ci, co), y = row.channels, _like((*x.shape[:-1], row.channels[1]))
        return F.Linear().cost((x, _like((ci, co)), _like((co,)) if row.bias else None), (y,))
    if row.kind == "matmul":
        b = _like(other_shape(row, *x.shape[:2])) if other is None else other
        return F.MatMul().cost((x, b), (_like((*x.shape[:-1], row.channels[1])),))
    if row.kind == "batch_norm":
        scale = _like(x.shape[-1:])
        return F.BatchNorm(scale, scale, False, 0.1, 1e-5).cost((_like(x.shape), scale, scale), (_like(x.shape),))
    if row.kind == "residual":
        assert other is not None
        return F.SEW("add").cost((x, other), (_like(x.shape, x.dtype),))
    if row.neuron:
        return _neuron(row, x, other)
    return _pool(row, x)


def _like(shape: tuple[int, ...], dtype: np.dtype | type = np.float32) -> np.ndarray:
    """An array of a shape that takes the memory of one entry. Of ones: a weight of zero is one that can be left out."""
    return np.broadcast_to(np.ones((), dtype), shape)


def _out(row: Row) -> tuple[int, ...]:
    """Height and width after the window."""
    settings = zip(row.size, row.kernel, row.stride, row.padding, row.dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in settings)


def _conv(row: Row, x: np.ndarray) -> OpCount:
    ci, co = row.channels
    w, b = _like((*row.kernel, ci // row.groups, co)), _like((co,)) if row.bias else None
    y = _like((*x.shape[:2], *_out(row), co))  # [T, N, Ho, Wo, Co]
    plain = row.kind == "conv" and row.groups == 1
    function = (F.Conv2d if plain else F.GroupedConv2d)(row.stride, row.padding, row.dilation)
    return function.cost((x, w, b), (y,))


def _pool(row: Row, x: np.ndarray) -> OpCount:
    if row.kind == "global_avg_pool":
        return F.GlobalAvgPool().cost((x,), (_like((*x.shape[:2], x.shape[-1])),))
    shape = (*x.shape[:2], *_out(row), x.shape[-1])  # [T, N, Ho, Wo, C]
    if row.kind == "max_pool":
        return F.MaxPool2d(row.kernel, row.stride, row.padding).cost((x,), (_like(shape, x.dtype),))
    mean = F.AvgPool2d(row.kernel, row.stride, padding=row.padding)
    if row.kind == "avg_pool":
        return mean.cost((x,), (_like(shape),))
    cost = mean.cost((x,), (_like(shape, x.dtype),))  # a sum is not scaled
    named = tuple(replace(facts, layer="SumPool2d") for facts in cost.facts)
    return _without(cost, ("pool_mul",), named)


def _neuron(row: Row, s: np.ndarray, other: np.ndarray | None) -> OpCount:
    firing = Firing(decay=1.0 if row.kind == "if" else row.decay, v_reset=None if row.reset == "soft" else 0.0)
    c = _like(s.shape)
    if row.kind == "mlif":
        assert other is not None
        w = _like((*s.shape[2:-1], 1))
        return mlif_cost(other, s, np.array(0.5, np.float32), w, False, firing)
    if row.kind == "plif":
        return F.PLIF(firing=firing).cost((c, _like(()), None), (s,))
    if row.kind == "clif":
        return F.CLIF(firing=firing).cost((c, None, None), (s,))
    cost = F.LIF(firing=firing).cost((c, None), (s,))
    if row.kind != "li":
        return cost
    return _without(cost, FIRES, tuple(replace(facts, layer="LI", events=0) for facts in cost.facts))


def _without(cost: OpCount, columns: tuple[str, ...], facts: tuple) -> OpCount:
    """The same cost less some columns, with other facts."""
    made = OpCount(facts=facts)
    made.blocks = [(lead, {k: v for k, v in block.items() if k not in columns}) for lead, block in cost.blocks]
    return made
