"""A graph of NIR as a network of the engine that runs, where every node has the same dynamics here."""

import math
from typing import Any

import numpy as np

from snncore import functions as F
from snncore import nn
from snncore.firing import Firing
from snncore.interchange.error import InterchangeError
from snncore.interchange.nir_graph import Graph, Node, conv_settings, over_images, pair_of
from snncore.interchange.nir_layers import Delay, Scale, Sequence, of_each, steps_of
from snncore.tape import Tensor

__all__ = ["DT", "GraphNetwork", "network_of"]

DT = 1e-4
"""Seconds of a timestep, which NIR leaves open; the value that other readers of NIR take."""


class GraphNetwork(nn.Module):
    """Layers of a graph, each run after those before it; where several meet, their sum.

    Data: [T, N, ...] with the axes of the graph's Input, channels first; outputs channels last, as the engine has them.
    """

    def __init__(self, graph: Graph, layers: dict[str, nn.Module]) -> None:
        self.order = [(node.name, node.given) for node in graph.nodes if node.kind != "Input"]
        self.inputs = [node.name for node in graph.nodes if node.kind == "Input"]
        self.layers = nn.ModuleDict({name.replace(".", "_"): layer for name, layer in layers.items()})

    def forward(self, *xs: Tensor) -> Tensor:
        """Return what the last node makes. xs: one for each Input in the order of the graph, or one for all."""
        if len(xs) not in (1, len(self.inputs)):
            raise ValueError(
                f"GraphNetwork: expected {len(self.inputs)} inputs, {', '.join(self.inputs)}, found {len(xs)}"
            )
        made: dict[str, Any] = dict(zip(self.inputs, xs * (len(self.inputs) // len(xs)), strict=True))
        y = xs[0]
        for name, given in self.order:
            y = _sum([made[a] for a in given])
            key = name.replace(".", "_")
            made[name] = y = self.layers[key](y) if key in self.layers else y
        return y


def _sum(parts: list[Tensor]) -> Tensor:
    y = parts[0]
    for part in parts[1:]:
        spikes = "f" not in (y.dtype.kind, part.dtype.kind)
        y = F.SEW("add")(y, part) if spikes else y + part
    return y


def network_of(graph: Graph, dt: float = DT) -> GraphNetwork:
    """Return the network; InterchangeError names every node that has no equal here, with the reason.

    Time is cut into steps of dt by the forward Euler rule, as other readers of NIR do:

        LIF: tau dv/dt = v_leak - v + R I   to   v[t] = (1 - dt / tau) v[t-1] + (R dt / tau) I[t]
        IF:      dv/dt = R I                to   v[t] = v[t-1] + R dt I[t]

    with the gain (R dt / tau, or R dt) taken out of threshold and reset in place of the current. NIR fires where
    v > v_threshold, the engine where v >= v_threshold: they differ for a membrane that meets the threshold exactly.
    """
    layers: dict[str, nn.Module] = {}
    wrong: list[str] = []
    flat: dict[str, tuple[int, ...]] = {}  # nodes that hand on flattened pixels, with the shape before
    if graph.loops:
        wrong.append(f"{', '.join(graph.loops)} (input from later nodes)")
    for node in graph.nodes:
        before = next((flat[a] for a in node.given if a in flat), None)
        if node.kind == "Flatten" and len(node.shape) > 1:
            flat[node.name] = node.shape
        elif before is not None and node.kind in ("LIF", "IF", "Flatten", "Output", "Scale", "Delay"):
            flat[node.name] = before
        if node.kind in ("Input", "Output"):
            continue
        try:
            if node.why:
                raise ValueError(node.why)
            layers[node.name] = _layer(node, before, dt)
        except ValueError as error:
            wrong.append(f"{node.name} ({node.kind}: {error})")
    if wrong:
        raise InterchangeError(f"{graph.path}: expected nodes that the engine can run, found {', '.join(wrong)}")
    network = GraphNetwork(graph, layers)
    network.eval()
    return network


def _layer(node: Node, flat: tuple[int, ...] | None, dt: float) -> nn.Module:
    """The layer of a node. flat: shape, channels first, of the pixels that were flattened before it."""
    data, kind = node.data, node.kind
    for name in ("weight", "bias"):
        if getattr(data, name, None) is not None and not np.isfinite(getattr(data, name)).all():
            raise ValueError(f"its {name} is not finite")
    if kind in ("Conv1d", "Conv2d"):
        return _conv(data)
    if kind in ("Affine", "Linear"):
        w = np.asarray(data.weight)
        if flat is not None:  # columns in the order of [H, W, C], as pixels are flattened here
            w = np.moveaxis(w.reshape(len(w), *flat), 1, -1).reshape(w.shape)
        bias = kind == "Affine" and bool(np.any(data.bias))
        layer = nn.Linear(w.shape[1], w.shape[0], bias=bias)
        layer.weight.data[...] = w.T
        if layer.bias is not None:
            layer.bias.data[...] = data.bias
        return layer
    if kind == "Flatten":
        return nn.Flatten()
    if kind == "AvgPool2d":
        return nn.AvgPool2d(*(pair_of(value) for value in (data.kernel_size, data.stride, data.padding)))
    if kind == "Scale":
        return Scale(of_each(data.scale, node.shape, flat))
    if kind == "Delay":
        return Delay(steps_of(of_each(data.delay, node.shape, flat), dt))
    if kind in ("LIF", "IF"):
        return _neuron(data, kind, dt)
    raise ValueError("the engine has no such layer")


def _conv(data: Any) -> nn.Module:
    """A Conv2d; a Conv1d is one over images of height 1."""
    settings: tuple[Any, ...] = over_images(conv_settings(data))
    kernel, stride, padding, dilation = settings
    weight = np.reshape(data.weight, (*data.weight.shape[:2], *kernel))
    co, per_group = weight.shape[:2]
    groups, bias = int(data.groups), data.bias is not None and bool(np.any(data.bias))
    more: dict[str, Any] = {"stride": stride, "padding": padding, "bias": bias, "dilation": dilation}
    if groups == 1:
        layer: Any = nn.Conv2d(per_group, co, kernel, **more)
    else:
        layer = nn.GroupedConv2d(per_group * groups, co, kernel, groups=groups, **more)
    layer.weight.data[...] = np.transpose(weight, (2, 3, 1, 0))  # [kh, kw, Ci / groups, Co]
    if bias:
        layer.bias.data[...] = data.bias
    return Sequence(layer) if np.ndim(data.weight) == 3 else layer


def _neuron(data: Any, kind: str, dt: float) -> nn.Module:
    """A neuron of one setting for all; ValueError for what the engine's neuron cannot be."""
    names = ("r", "v_threshold", "v_reset", *(("tau", "v_leak") if kind == "LIF" else ()))
    one = {name: _uniform(name, getattr(data, name)) for name in names}
    if one.get("v_leak"):
        raise ValueError(f"v_leak {one['v_leak']:g} is not 0")
    decay = 1.0 - dt / one["tau"] if kind == "LIF" else 1.0
    gain = one["r"] * dt / one.get("tau", 1.0)
    gain = 1.0 if math.isclose(gain, 1.0, rel_tol=1e-6) else gain  # R = tau / dt, rounded to float32
    if not math.isfinite(one["v_reset"]):
        raise ValueError(f"v_reset {one['v_reset']:g} is not finite")
    if not 0 <= decay <= 1:
        raise ValueError(f"dt {dt:g} is longer than tau {one['tau']:g}")
    if not (gain > 0 and math.isfinite(gain)) or not one["v_threshold"] > 0:
        raise ValueError(f"R {one['r']:g} and v_threshold {one['v_threshold']:g} are not both above 0")
    firing = Firing(decay=decay, v_threshold=one["v_threshold"] / gain, v_reset=one["v_reset"] / gain)
    return nn.LIF(firing=firing) if kind == "LIF" else nn.IF(firing=firing)


def _uniform(name: str, value: Any) -> float:
    flat = np.unique(np.ravel(value))
    if len(flat) != 1:
        raise ValueError(f"{name} differs from neuron to neuron, {flat.min():g} to {flat.max():g}")
    return float(flat[0])
