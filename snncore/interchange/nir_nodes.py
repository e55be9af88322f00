"""Which node of NIR an operation of the engine becomes, and why some become none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncore.backend import asnumpy
from snncore.firing import Firing
from snncore.interchange.error import InterchangeError
from snncore.interchange.trace import Step, Trace

__all__ = ["Nodes"]

RESETS = "it resets to a value, and a soft reset subtracts the threshold; train with a hard reset"
REASONS = {
    "MLIF": "its two trains share a neuron whose threshold is not what it subtracts; NIR's neurons take one current, "
    "and reset to a value",
    "CLIF": "its second membrane has no node",
    "MaxPool2d": "no node takes a maximum; an average pooling can be written",
    "Concat": "no node joins channels",
    "BatchNorm": "no convolution or linear layer of its own comes before it, into which it could go",
    "ReLU": "no node is without time; it is no spiking neuron",
    "MatMul": "no node multiplies two inputs",
    "Mul": "no node multiplies two inputs",
    "LayerNorm": "no node divides by a norm",
    "Reshape": "nothing but a whole flattening can be written",
    "Mean": "nothing but the mean over time, at the end, or over all pixels can be written",
    "SEW": "only the connection add is a sum, which edges that meet in one node stand for",
    "Add": "only two layers of one shape can be added",
}


class Refused(ValueError):
    """Why an operation becomes no node."""


@dataclass
class Value:
    """What an operation made. nodes: whose sum it is, none after something that could not be written.

    pixels: (H, W, C) of pixels that were flattened, in that order. averaged: over time, after which nothing may come.
    parts: of what was joined along the channels, each with its number of channels; nodes is empty then.
    """

    nodes: tuple[str, ...] = ()
    pixels: tuple[int, ...] | None = None
    averaged: bool = False
    parts: tuple[tuple["Value", int], ...] = ()


@dataclass
class Layer:
    """A layer of the network with the nodes that it became, more than one of what was joined along the channels.

    pixels: of each node, as in Value. norm: path of the BatchNorm whose numbers went into the nodes.
    """

    path: str
    nodes: list[str] = field(default_factory=list)
    pixels: list[tuple[int, ...] | None] = field(default_factory=list)
    norm: str = ""


@dataclass
class Nodes:
    """The nodes and edges so far, and what could not be written: paths of layers by (kind, reason).

    layers: those with weights and those of neurons, in order.
    """

    nir: Any
    dt: float
    trace: Trace
    inputs: Mapping[str, Sequence[int]]
    made: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    values: dict[int, Value] = field(default_factory=dict)
    wrong: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    layers: list["Layer"] = field(default_factory=list)

    def __post_init__(self) -> None:
        for k, (name, shape) in enumerate(self.inputs.items()):
            name = self._name(name)
            self.made[name] = self.nir.Input({"input": np.array(first(shape))})
            self.values[-1 - k] = Value((name,))

    def add(self, k: int, step: Step) -> None:
        """Write one step, or note why that cannot be done."""
        try:
            self.values[k] = self._value(step)
        except Refused as error:
            self.wrong.setdefault((step.name, str(error)), []).append(step.path or "the network itself")
            self.values[k] = Value()  # go on, so that one message tells of all

    def add_output(self, name: str, source: int | None) -> None:
        """Write an output of the network."""
        if source is None:
            self.wrong[("Output", "it comes from no input")] = [name]
            return
        value = self.values[source]
        if value.parts:
            self.wrong.setdefault(("Concat", REASONS["Concat"]), []).append(self.trace.steps[source].path)
        if source < 0:
            self.wrong[("Output", "it is an input, and no layer comes between")] = [name]
            return
        shape = self.trace.steps[source].outputs[0].shape[1 if value.averaged else 2 :]
        meta = {"averaged_over_time": "yes"} if value.averaged else {}
        self._node(name, self.nir.Output({"output": np.array(first(shape))}, metadata=meta), value.nodes)

    def graph(self) -> Any:
        """Return the graph; raises InterchangeError where NIR's own check, which its readers make, refuses it.

        Version 1.0.8 of nir takes every kernel for a square one, and finds other shapes behind those that are none.
        """
        try:
            return self.nir.NIRGraph(self.made, self.edges, type_check=True)
        except ValueError as error:
            raise InterchangeError(f"the package nir refuses the graph: {error}") from None

    # -- one step --

    def _value(self, step: Step) -> Value:
        x = self._source(step, 0)
        if x.averaged:
            raise Refused("a mean over time comes before it, which nothing may follow")
        if step.name in ("Conv2d", "GroupedConv2d"):
            return self._conv(step, x)
        if step.name == "Linear":
            return self._linear(step, x)
        if step.name == "Concat":
            return self._concat(step)
        if x.parts:
            raise Refused(REASONS["Concat"])
        if step.name == "BatchNorm":
            return self._fold(step, x)
        if step.name in ("LIF", "PLIF"):
            return self._neuron(step, x)
        if step.name in ("AvgPool2d", "GlobalAvgPool", "Mean"):
            return self._average(step, x)
        if step.name == "Reshape":
            return self._reshape(step, x)
        if step.name == "Cast":
            return x
        if step.name in ("SEW", "Add"):
            return self._sum(step, x)
        raise Refused(REASONS.get(step.name, "no node is like it"))

    def _source(self, step: Step, i: int) -> Value:
        source = step.sources[i]
        if source is None:
            raise Refused("one of its inputs comes from no layer")
        return self.values[source]

    def _concat(self, step: Step) -> Value:
        """W [x; y] = W_x x + W_y y: what is joined along the channels is split again where it is multiplied."""
        if step.function.axis not in (-1, step.outputs[0].ndim - 1):
            raise Refused(REASONS["Concat"])
        values = [self._source(step, i) for i in range(len(step.arrays))]
        if any(value.parts or value.averaged for value in values):
            raise Refused(REASONS["Concat"])
        return Value(parts=tuple((v, a.shape[-1]) for v, a in zip(values, step.arrays, strict=True)))  # type: ignore[union-attr]

    def _split(self, x: Value, w: np.ndarray, axis: int) -> list[tuple[Value, np.ndarray]]:
        """Each part of x with the slice of the weights for its channels."""
        parts = x.parts or ((x, w.shape[axis]),)
        ends = np.cumsum([channels for _, channels in parts])[:-1].tolist()
        return [(value, of) for (value, _), of in zip(parts, np.split(w, ends, axis), strict=True)]

    def _conv(self, step: Step, x: Value) -> Value:
        images, w, b = (None if a is None else asnumpy(a) for a in step.arrays)
        assert images is not None
        assert w is not None
        groups, function = images.shape[-1] // w.shape[2], step.function
        layer, names = self._layer(step)
        for value, of in self._split(x, dense(w, groups), 2):
            node = self.nir.Conv2d(
                input_shape=tuple(int(n) for n in images.shape[-3:-1]),
                weight=contiguous(of.transpose(3, 2, 0, 1)),  # [Co, Ci, kh, kw]
                stride=function.stride,
                padding=function.padding,
                dilation=function.dilation,
                groups=1,
                bias=np.zeros(w.shape[-1], w.dtype) if b is None or names else b.copy(),
            )
            names.append(self._node(step.path, node, value.nodes))
            layer.pixels.append(None)
        return Value(tuple(names))

    def _linear(self, step: Step, x: Value) -> Value:
        features, w, b = (None if a is None else asnumpy(a) for a in step.arrays)
        assert features is not None
        assert w is not None
        if features.ndim != 3:
            raise Refused("it runs over pixels or tokens, and no node does; a 1x1 convolution can be written")
        layer, names = self._layer(step)
        for value, of in self._split(x, w, 0):
            if value.pixels is not None:  # columns in the order of [C, H, W], as NIR flattens
                of = of.reshape(*value.pixels, -1).transpose(2, 0, 1, 3).reshape(of.shape)
            node = self.nir.Linear(contiguous(of.T))
            if b is not None and not names:
                node = self.nir.Affine(node.weight, b.copy())
            names.append(self._node(step.path, node, value.nodes))
            layer.pixels.append(value.pixels)
        return Value(tuple(names))

    def _layer(self, step: Step) -> tuple[Layer, list[str]]:
        layer = Layer(step.path)
        self.layers.append(layer)
        return layer, layer.nodes

    def _fold(self, step: Step, x: Value) -> Value:
        """BN(W x + b) = (g W) x + (beta + g (b - mean)), g = gamma / sqrt(var + eps)."""
        before = step.sources[0]
        assert before is not None
        users = [s for s in self.trace.steps if before in s.sources]
        only = len(users) == 1 and before not in self.trace.outputs.values()
        if before < 0 or self.trace.steps[before].name not in ("Conv2d", "GroupedConv2d", "Linear") or not only:
            raise Refused(REASONS["BatchNorm"])
        function = step.function
        gamma, beta = (asnumpy(p).astype(np.float64) for p in step.arrays[1:3])
        mean, var = (asnumpy(a).astype(np.float64) for a in (function.running_mean, function.running_var))
        gain = gamma / np.sqrt(var + function.eps)
        for name in x.nodes:  # several of what was joined along the channels; the first has the bias
            node = self.made[name]
            weight = node.weight * gain.reshape(-1, *(1,) * (node.weight.ndim - 1))
            weight = weight.astype(node.weight.dtype)
            if name == x.nodes[0]:
                bias = beta + gain * (getattr(node, "bias", 0) - mean)
                if isinstance(node, self.nir.Linear):
                    self.made[name] = node = self.nir.Affine(weight, bias)
                node.bias = bias.astype(weight.dtype)
            node.weight = weight
        for layer in self.layers:
            if x.nodes and layer.nodes[:1] == list(x.nodes[:1]):
                layer.norm = step.path
        return x

    def _neuron(self, step: Step, x: Value) -> Value:
        firing: Firing = step.function.firing
        if firing.v_reset is None:
            raise Refused(RESETS)
        shape = first(step.arrays[0].shape[2:])  # type: ignore[union-attr]
        rest = {"v_threshold": np.full(shape, firing.v_threshold), "v_reset": np.full(shape, float(firing.v_reset))}
        if firing.decay == 1:
            node = self.nir.IF(r=np.full(shape, 1 / self.dt), **rest)
        else:
            tau = self.dt / (1 - firing.decay)
            membrane = {"tau": np.full(shape, tau), "r": np.full(shape, tau / self.dt), "v_leak": np.zeros(shape)}
            node = self.nir.LIF(**membrane, **rest)
        self._layer(step)[1].append(self._node(step.path, node, x.nodes))
        return Value((self.layers[-1].nodes[0],), x.pixels)

    def _average(self, step: Step, x: Value) -> Value:
        function, images = step.function, step.arrays[0]
        assert images is not None
        if step.name == "Mean" and function.axes == (0,) and not function.keepdims:
            return Value(x.nodes, averaged=True)
        whole = step.name == "GlobalAvgPool" or (step.name == "Mean" and function.axes == (2, 3) and images.ndim == 5)
        if step.name == "Mean" and (not whole or function.keepdims):
            raise Refused(REASONS["Mean"])
        kernel = images.shape[-3:-1] if whole else function.kernel
        stride, padding = (kernel, (0, 0)) if whole else (function.stride, function.padding)
        node = self.nir.AvgPool2d(*(np.array(n) for n in (kernel, stride, padding)))
        name = self._node(step.path, node, x.nodes)
        if not whole:
            return Value((name,))
        flat = self.nir.Flatten({"input": np.array((images.shape[-1], 1, 1))}, -3, -1)
        return Value((self._node(f"{step.path}.flat", flat, (name,)),))

    def _reshape(self, step: Step, x: Value) -> Value:
        before, after = (a.shape for a in (step.arrays[0], step.outputs[0]))  # type: ignore[union-attr]
        if before == after:
            return x
        if len(before) != 5 or after != (*before[:2], math.prod(before[2:])):
            raise Refused(REASONS["Reshape"])
        node = self.nir.Flatten({"input": np.array(first(before[2:]))}, -3, -1)
        return Value((self._node(step.path, node, x.nodes),), before[2:])

    def _sum(self, step: Step, x: Value) -> Value:
        y = self._source(step, 1)
        if step.name == "SEW" and step.function.connect != "add":
            raise Refused(REASONS["SEW"])
        a, b = (array.shape for array in step.arrays[:2])  # type: ignore[union-attr]
        known = bool(x.nodes and y.nodes)  # else a reason was given already
        if a != b or y.parts or y.averaged or (known and x.pixels != y.pixels):
            raise Refused(REASONS["Add"])
        if set(x.nodes) & set(y.nodes):
            raise Refused("the same layer is added twice, and two nodes have one edge at most")
        return Value(x.nodes + y.nodes, x.pixels)

    # -- names --

    def _node(self, path: str, node: Any, given: Sequence[str]) -> str:
        name = self._name(path)
        self.made[name] = node
        self.edges += [(before, name) for before in given]
        return name

    def _name(self, path: str) -> str:
        """A name that is not taken, without dots, which other readers of NIR cannot take for one of a module."""
        wanted = name = path.replace(".", "_") or "layer"
        count = 1
        while name in self.made:
            count += 1
            name = f"{wanted}_{count}"
        return name


def first(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape with its last axis, the channels, first."""
    *rest, channels = (int(n) for n in shape)
    return (channels, *rest)


def dense(w: np.ndarray, groups: int) -> np.ndarray:
    """Weights [kh, kw, Ci / groups, Co] as those of a convolution without groups, with zeros: [kh, kw, Ci, Co].

    nir 1.0.8 finds the wrong shapes at a convolution in groups, and other readers have none.
    """
    if groups == 1:
        return w
    ci, co = w.shape[2], w.shape[3] // groups
    whole = np.zeros((*w.shape[:2], ci * groups, w.shape[3]), w.dtype)
    for k in range(groups):
        whole[:, :, k * ci : (k + 1) * ci, k * co : (k + 1) * co] = w[..., k * co : (k + 1) * co]
    return whole


def contiguous(x: np.ndarray) -> np.ndarray:
    """A copy in C order, which nothing else holds."""
    return np.array(x, order="C")
