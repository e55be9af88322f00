"""A graph of NIR as a layer table: what each node holds, and what cannot be in a table, in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from misnet.audit.layers_row import Row, TableError, Values
from snncore.interchange.nir_graph import INTEGRATORS, NEURONS, Graph, Node, conv_settings, over_images, pair_of

__all__ = ["graph_rows"]


def _incoming(graph: Graph) -> dict[str, Values | None]:
    """What comes into each node: of spikes binary or graded, averaged after a mean, analog else, None from outside."""
    found: dict[str, Values | None] = {}
    by_name = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        found[node.name] = None if node.kind == "Input" else _values([by_name[a] for a in node.given], found)
    return found


def _values(befores: Sequence[Node], found: Mapping[str, Values | None]) -> Values | None:
    """What the sum of the nodes before holds."""
    each = [_made(node, found[node.name]) for node in befores]
    if len(each) == 1:
        return each[0]
    known = [v for v in each if v is not None]
    if len(known) == len(each) and all(v.events for v in known):
        return Values("graded", min(255, sum(v.top for v in known)))
    return Values("analog")


def _made(node: Node, values: Values | None) -> Values | None:
    """What a node hands on: spikes, sums or means of what came in, or analog values."""
    if node.kind in NEURONS or node.kind == "Threshold":
        return Values("binary")
    if node.kind in ("Input", "Flatten", "Output", "Delay"):
        return values
    if node.kind == "SumPool2d" and values is not None and values.events:
        return Values("graded", min(255, values.top * math.prod(pair_of(node.data.kernel_size))))
    if node.kind == "AvgPool2d" and values is not None and values.kind in ("binary", "graded", "averaged"):
        return Values("averaged")
    return Values("analog")


def graph_rows(graph: Graph) -> tuple[list[Row], list[str]]:
    """Rows of a layer table, and in words what is not in it."""
    rows: list[Row] = []
    incoming = _incoming(graph)
    for node in graph.nodes:
        if not node.why:
            rows += _rows(node, incoming[node.name], len(rows))
    why = {node.name: node.why or ("no line of a table" if node.kind == "Scale" else "") for node in graph.nodes}
    left = [f"{node.name} ({node.kind}: {why[node.name]})" for node in graph.nodes if why[node.name]]
    words = [f"not counted, because no layer of a table is like it: {', '.join(left)}"] if left else []
    joins = [node.name for node in graph.nodes if len(node.given) > 1]
    if joins:
        words.append(f"additions where several nodes meet are not counted: at {', '.join(joins)}")
    if graph.loops:
        words.append(f"recurrent: {', '.join(graph.loops)} gets input from later nodes too; each node is counted once")
    if not rows:
        raise TableError(f"{graph.path}: expected layers that a table can hold, found none; {'; '.join(words)}")
    return rows, words


def _rows(node: Node, values: Values | None, line: int) -> list[Row]:
    """Rows of a node: none of a node without arithmetic, two of a neuron with a current of its own."""
    data, kind = node.data, node.kind
    channels, size = node.shape[0], node.shape[1:]
    size = (1, *size) if len(size) == 1 else size  # a sequence is an image of height 1
    row = Row(line + 1, node.name, "", (channels, node.out[0]), size, values=values)
    if kind in ("Conv1d", "Conv2d"):
        kernel, stride, padding, dilation = over_images(conv_settings(data))
        bias, groups = data.bias is not None and bool(np.any(data.bias)), int(data.groups)
        window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        return [replace(row, kind="conv", groups=groups, bias=bias, **window)]
    if kind in ("Affine", "Linear"):
        return [replace(row, kind="linear", bias=kind == "Affine" and bool(np.any(data.bias)))]
    if kind in ("SumPool2d", "AvgPool2d"):
        names = {"kernel": data.kernel_size, "stride": data.stride, "padding": data.padding}
        window = {name: pair_of(value) for name, value in names.items()}
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
