"""A network in the Neuromorphic Intermediate Representation, read into layers in order, and into a layer table.

Source: Pedersen et al., Neuromorphic intermediate representation, Nature Communications 15 (2024) 8122.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from misnet.audit.layers_row import Row, TableError, Values

__all__ = ["Graph", "Node", "graph_rows", "read_graph"]

INTEGRATORS = {"LI": 1, "CubaLI": 2}
"""Nodes that leak and never fire, with how many membranes they have."""

NEURONS = {"LIF": "lif", "IF": "if", "CubaLIF": "lif"}


@dataclass(frozen=True)
class Node:
    """One node. kind: the class of NIR. given: names of the nodes before it. shape, out: of one sample, channels first.

    values: what comes in: of spikes binary or graded, averaged after a mean, analog else, None from outside.
    why: why it cannot be in a layer table; empty if it can.
    """

    name: str
    kind: str
    data: Any
    given: tuple[str, ...]
    shape: tuple[int, ...]
    out: tuple[int, ...]
    values: Values | None
    why: str = ""


@dataclass
class Graph:
    """Nodes so that each comes after those before it. loops: names of nodes whose input comes from later ones."""

    path: Path
    nodes: list[Node] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)


def read_graph(path: Path) -> Graph:
    """Read a .nir file; raises TableError if the package is missing, or the file is none of NIR's."""
    try:
        import nir
    except ModuleNotFoundError:
        raise TableError(
            '--nir needs the package nir, which is not installed; install it with: pip install -e ".[nir]"'
        ) from None
    if not path.is_file():
        raise TableError(f"{path}: expected a file of NIR, found no such file")
    try:
        found = nir.read(path, type_check=False)
    except Exception as error:  # h5py and nir raise whatever a file makes them
        raise TableError(f"{path}: expected a file of NIR, found none ({type(error).__name__}: {error})") from None
    graph = Graph(path)
    before: dict[str, list[str]] = {name: [] for name in found.nodes}
    for a, b in found.edges:
        before[b].append(a)
    made: dict[str, Node] = {}
    for name in _order(before, graph.loops):
        given = tuple(a for a in before[name] if a in made)
        made[name] = _node(name, found.nodes[name], given, [made[a] for a in given], path)
    graph.nodes = list(made.values())
    if not any(node.kind == "Input" for node in graph.nodes):
        raise TableError(f"{path}: expected a node Input, which tells the shape of the data, found none")
    return graph


def _order(before: dict[str, list[str]], loops: list[str]) -> list[str]:
    """Names so that each comes after those before it; where a loop forbids it, its first node is noted and taken."""
    left, order = dict(before), []
    while left:
        ready = [name for name, given in left.items() if all(a not in left for a in given)]
        if not ready:
            started = [name for name, given in left.items() if any(a in order for a in given)]
            ready = [(started or list(left))[0]]
            loops.append(ready[0])
        for name in ready:
            del left[name]
        order += ready
    return order


def _node(name: str, data: Any, given: tuple[str, ...], befores: Sequence[Node], path: Path) -> Node:
    kind = type(data).__name__
    if kind == "Input":
        shape = tuple(int(n) for n in np.atleast_1d(next(iter(data.input_type.values()))))
        return Node(name, kind, data, given, shape, shape, None)
    shapes = {node.out for node in befores}
    if len(shapes) != 1:
        what = " and ".join(map(str, sorted(shapes))) or "nothing before it"
        raise TableError(f"{path}, node {name} ({kind}): expected inputs of one shape, found {what}")
    node = Node(name, kind, data, given, shapes.pop(), (), _values(befores))
    try:
        out, why = _out(node)
    except (ValueError, IndexError, TypeError) as error:
        raise TableError(f"{path}, node {name} ({kind}): expected {kind} for {node.shape}, found {error}") from None
    return replace(node, out=out, why=why)


def _values(befores: Sequence[Node]) -> Values | None:
    """What the sum of the nodes before holds."""
    each = [_made(node) for node in befores]
    if len(each) == 1:
        return each[0]
    known = [v for v in each if v is not None]
    if len(known) == len(each) and all(v.events for v in known):
        return Values("graded", min(255, sum(v.top for v in known)))
    return Values("analog")


def _made(node: Node) -> Values | None:
    """What a node hands on: spikes, sums or means of what came in, or analog values."""
    if node.kind in NEURONS or node.kind == "Threshold":
        return Values("binary")
    if node.kind in ("Input", "Flatten", "Output", "Delay"):
        return node.values
    if node.kind == "SumPool2d" and node.values is not None and node.values.events:
        return Values("graded", min(255, node.values.top * math.prod(_pair(node.data.kernel_size))))
    if node.kind == "AvgPool2d" and node.values is not None and node.values.kind in ("binary", "graded", "averaged"):
        return Values("averaged")
    return Values("analog")


def _out(node: Node) -> tuple[tuple[int, ...], str]:
    """Shape that a node makes, and why it cannot be in a table."""
    data, kind, shape = node.data, node.kind, node.shape
    if kind == "Conv2d":
        if len(shape) != 3 or shape[0] != data.weight.shape[1] * int(data.groups):
            raise ValueError(f"weights {data.weight.shape} in {int(data.groups)} groups")
        return (data.weight.shape[0], *_windows(shape[1:], *conv_settings(data))), ""
    if kind in ("SumPool2d", "AvgPool2d"):
        if len(shape) != 3:
            raise ValueError(f"a kernel of {_pair(data.kernel_size)}")
        padding = _pair(data.padding)
        settings = (_pair(data.kernel_size), _pair(data.stride), padding, (1, 1))
        return (shape[0], *_windows(shape[1:], *settings)), "" if padding == (0, 0) else f"padding {padding}"
    if kind in ("Affine", "Linear"):
        if shape[-1:] != data.weight.shape[-1:]:
            raise ValueError(f"weights {data.weight.shape}")
        why = "" if data.weight.ndim == 2 and len(shape) == 1 else f"weights {data.weight.shape} for {shape}"
        return (*shape[:-1], data.weight.shape[-2]), why
    if kind == "Flatten":
        start, end = int(data.start_dim) % len(shape), int(data.end_dim) % len(shape)
        out = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
        return out, "" if len(out) == 1 or out == shape else "a part of the axes alone is flattened"
    known = kind in NEURONS or kind in INTEGRATORS or kind == "Output"
    return shape, "" if known else "no layer of that kind"


def _windows(size: tuple[int, ...], kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    settings = zip(size, kernel, stride, padding, dilation, strict=True)
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in settings)
    if min(out) < 1:
        raise ValueError(f"a kernel of {kernel} on {size}")
    return out


def conv_settings(data: Any) -> tuple[tuple[int, int], ...]:
    """Kernel, stride, padding and dilation of a Conv2d; ValueError for `same` that is not the same on both sides."""
    kernel, stride, dilation = data.weight.shape[2:], _pair(data.stride), _pair(data.dilation)
    text = data.padding.decode() if isinstance(data.padding, bytes) else data.padding
    if not isinstance(text, str):
        return kernel, stride, _pair(text), dilation
    if text == "valid":
        return kernel, stride, (0, 0), dilation
    whole = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if stride != (1, 1) or any(n % 2 for n in whole):
        raise ValueError(f"padding 'same' with a stride of {stride} and a kernel of {kernel}")
    return kernel, stride, (whole[0] // 2, whole[1] // 2), dilation


def _pair(value: Any) -> tuple[int, int]:
    flat = [int(v) for v in np.ravel(value)]
    return (flat[0], flat[-1])


def graph_rows(graph: Graph) -> tuple[list[Row], list[str]]:
    """Rows of a layer table, and in words what is not in it."""
    rows: list[Row] = []
    for node in graph.nodes:
        if not node.why:
            rows += _rows(node, len(rows))
    left = [f"{node.name} ({node.kind}: {node.why})" for node in graph.nodes if node.why]
    words = [f"not counted, because no layer of a table is like it: {', '.join(left)}"] if left else []
    joins = [node.name for node in graph.nodes if len(node.given) > 1]
    if joins:
        words.append(f"additions where several nodes meet are not counted: at {', '.join(joins)}")
    if graph.loops:
        words.append(f"recurrent: {', '.join(graph.loops)} gets input from later nodes too; each node is counted once")
    if not rows:
        raise TableError(f"{graph.path}: expected layers that a table can hold, found none; {'; '.join(words)}")
    return rows, words


def _rows(node: Node, line: int) -> list[Row]:
    """Rows of a node: none of a node without arithmetic, two of a neuron with a current of its own."""
    data, kind = node.data, node.kind
    channels, size = node.shape[0], node.shape[1:]
    row = Row(line + 1, node.name, "", (channels, node.out[0]), size, values=node.values)
    if kind == "Conv2d":
        kernel, stride, padding, dilation = conv_settings(data)
        bias, groups = data.bias is not None and bool(np.any(data.bias)), int(data.groups)
        window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        return [replace(row, kind="conv", groups=groups, bias=bias, **window)]
    if kind in ("Affine", "Linear"):
        return [replace(row, kind="linear", bias=kind == "Affine" and bool(np.any(data.bias)))]
    if kind in ("SumPool2d", "AvgPool2d"):
        window = {"kernel": _pair(data.kernel_size), "stride": _pair(data.stride)}
        return [replace(row, kind="sum_pool" if kind == "SumPool2d" else "avg_pool", **window)]
    plain = replace(row, channels=(channels, channels), values=None)
    integrator = replace(plain, kind="li")
    if kind in INTEGRATORS:
        names = [node.name] if INTEGRATORS[kind] == 1 else [f"{node.name}.current", node.name]
        return [replace(integrator, name=name) for name in names]
    if kind in NEURONS:
        fires = replace(plain, kind=NEURONS[kind], reset="hard")
        return [replace(integrator, name=f"{node.name}.current"), fires] if kind == "CubaLIF" else [fires]
    return []
