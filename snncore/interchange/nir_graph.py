"""A graph of the Neuromorphic Intermediate Representation, read into nodes in the order in which they run.

Source: Pedersen et al., Neuromorphic intermediate representation, Nature Communications 15 (2024) 8122.
"""

import importlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from snncore.interchange.error import InterchangeError

__all__ = [
    "INTEGRATORS",
    "NEURONS",
    "Graph",
    "Node",
    "conv_settings",
    "import_nir",
    "over_images",
    "pair_of",
    "read_graph",
]

INTEGRATORS = {"LI": 1, "CubaLI": 2}
"""Nodes that leak and never fire, with how many membranes they have."""

NEURONS = {"LIF": "lif", "IF": "if", "CubaLIF": "lif"}


@dataclass(frozen=True)
class Node:
    """One node. kind: the class of NIR. given: names of the nodes before it. shape, out: of one sample, channels first.

    data: the node of NIR. why: why it is no layer that the engine knows; empty if it is one.
    """

    name: str
    kind: str
    data: Any
    given: tuple[str, ...]
    shape: tuple[int, ...]
    out: tuple[int, ...]
    why: str = ""


@dataclass
class Graph:
    """Nodes so that each comes after those before it. loops: names of nodes whose input comes from later ones."""

    path: Path
    nodes: list[Node] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)


def import_nir(what: str) -> Any:
    """Return the package nir; raises InterchangeError, with the command that installs it, where it is missing."""
    try:
        return importlib.import_module("nir")
    except ModuleNotFoundError:
        raise InterchangeError(
            f'{what} needs the package nir, which is not installed; install it with: pip install -e ".[nir]"'
        ) from None


def read_graph(path: str | os.PathLike) -> Graph:
    """Read a .nir file; raises InterchangeError if the package is missing, or the file is none of NIR's."""
    path = Path(path)
    nir = import_nir(f"{path}: reading a graph of NIR")
    if not path.is_file():
        raise InterchangeError(f"{path}: expected a file of NIR, found no such file")
    try:
        found = nir.read(path, type_check=False)
        nodes, edges = dict(found.nodes), [(str(a), str(b)) for a, b in found.edges]
    except Exception as error:  # h5py and nir raise whatever a file makes them
        raise InterchangeError(
            f"{path}: expected a file of NIR, found none ({type(error).__name__}: {error})"
        ) from None
    graph = Graph(path)
    before: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in edges:
        if lost := [name for name in (a, b) if name not in nodes]:
            raise InterchangeError(f"{path}: expected edges between its nodes, found one of {lost[0]!r}, which is none")
        before[b].append(a)
    made: dict[str, Node] = {}
    for name in _order(before, graph.loops):
        given = tuple(a for a in before[name] if a in made)
        made[name] = _node(name, nodes[name], given, [made[a] for a in given], path)
    graph.nodes = list(made.values())
    if not any(node.kind == "Input" for node in graph.nodes):
        raise InterchangeError(f"{path}: expected a node Input, which tells the shape of the data, found none")
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
        shape = _input_shape(name, data, path)
        return Node(name, kind, data, given, shape, shape)
    shapes = {node.out for node in befores}
    if len(shapes) != 1:
        what = " and ".join(map(str, sorted(shapes))) or "nothing before it"
        raise InterchangeError(f"{path}, node {name} ({kind}): expected inputs of one shape, found {what}")
    node = Node(name, kind, data, given, shapes.pop(), ())
    try:
        out, why = _out(node)
    except (ValueError, IndexError, TypeError) as error:
        raise InterchangeError(
            f"{path}, node {name} ({kind}): expected {kind} for {node.shape}, found {error}"
        ) from None
    return replace(node, out=out, why=why)


def _input_shape(name: str, data: Any, path: Path) -> tuple[int, ...]:
    try:
        shape = tuple(int(n) for n in np.atleast_1d(next(iter(data.input_type.values()))))
    except (ValueError, TypeError, AttributeError, StopIteration):
        shape = ()
    if not shape or min(shape) < 1:
        raise InterchangeError(f"{path}, node {name} (Input): expected the shape of a sample, found {data.input_type}")
    return shape


def _out(node: Node) -> tuple[tuple[int, ...], str]:
    """Shape that a node makes, and why it is no layer that is known."""
    data, kind, shape = node.data, node.kind, node.shape
    if kind in ("Conv1d", "Conv2d"):
        if len(shape) != data.weight.ndim - 1 or shape[0] != data.weight.shape[1] * int(data.groups):
            raise ValueError(f"weights {data.weight.shape} in {int(data.groups)} groups")
        return (data.weight.shape[0], *_windows(shape[1:], *conv_settings(data))), ""
    if kind in ("SumPool2d", "AvgPool2d"):
        if len(shape) != 3:
            raise ValueError(f"a kernel of {pair_of(data.kernel_size)}")
        padding = pair_of(data.padding)
        kernel = pair_of(data.kernel_size)
        wide = any(2 * p > k for p, k in zip(padding, kernel, strict=True))
        why = f"padding {padding}, more than half the kernel" if wide else ""
        return (shape[0], *_windows(shape[1:], kernel, pair_of(data.stride), padding, (1, 1))), why
    if kind in ("Affine", "Linear"):
        if shape[-1:] != data.weight.shape[-1:]:
            raise ValueError(f"weights {data.weight.shape}")
        why = "" if data.weight.ndim == 2 and len(shape) == 1 else f"weights {data.weight.shape} for {shape}"
        return (*shape[:-1], data.weight.shape[-2]), why
    if kind == "Flatten":
        start, end = int(data.start_dim) % len(shape), int(data.end_dim) % len(shape)
        out = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
        return out, "" if len(out) == 1 or out == shape else "a part of the axes alone is flattened"
    if kind in ("Delay", "Scale") and np.broadcast_shapes(np.shape(getattr(data, kind.lower())), shape) != shape:
        raise ValueError(f"a {kind.lower()} of {np.shape(getattr(data, kind.lower()))}")
    known = kind in NEURONS or kind in INTEGRATORS or kind in ("Output", "Delay", "Scale")
    return shape, "" if known else "no layer of that kind"


def _windows(size: tuple[int, ...], kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    settings = zip(size, kernel, stride, padding, dilation, strict=True)
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in settings)
    if min(out) < 1:
        raise ValueError(f"a kernel of {kernel} on {size}")
    return out


def conv_settings(data: Any) -> tuple[tuple[int, ...], ...]:
    """Kernel, stride, padding and dilation of a Conv1d or Conv2d, one number for each of its axes.

    ValueError for `same` that is not the same on both sides.
    """
    kernel = tuple(int(n) for n in data.weight.shape[2:])
    stride, dilation = (pair_of(value)[: len(kernel)] for value in (data.stride, data.dilation))
    text = data.padding.decode() if isinstance(data.padding, bytes) else data.padding
    if not isinstance(text, str):
        return kernel, stride, pair_of(text)[: len(kernel)], dilation
    if text == "valid":
        return kernel, stride, (0,) * len(kernel), dilation
    whole = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if set(stride) != {1} or any(n % 2 for n in whole):
        raise ValueError(f"padding 'same' with a stride of {stride} and a kernel of {kernel}")
    return kernel, stride, tuple(n // 2 for n in whole), dilation


def over_images(settings: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """`conv_settings` of a Conv1d as those of a Conv2d over images of height 1; those of a Conv2d as they are."""
    if len(settings[0]) == 2:
        return settings
    return tuple((first, *setting) for first, setting in zip((1, 1, 0, 1), settings, strict=True))


def pair_of(value: Any) -> tuple[int, int]:
    """Height and width of a setting that is one number or two."""
    flat = [int(v) for v in np.ravel(value)]
    return (flat[0], flat[-1])
