"""The weights of a graph of NIR, put into a network of the engine that has the same nodes."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snncore import nn
from snncore.backend import Array
from snncore.interchange.error import InterchangeError
from snncore.interchange.nir_graph import Graph, conv_settings, pair_of, read_graph
from snncore.interchange.nir_network import DT
from snncore.interchange.nir_nodes import Layer, first
from snncore.interchange.nir_write import nodes_of
from snncore.nn.module import Module

__all__ = ["weights_of_graph"]

SAME = 1e-6  # how far settings of neurons may be apart, of their size: files may hold them in float32
SETTINGS = ("tau", "r", "v_leak", "v_threshold", "v_reset", "kernel_size", "stride", "padding")


def weights_of_graph(
    network: Module, shapes: Sequence[int] | Mapping[str, Sequence[int]], path: str | os.PathLike, dt: float = DT
) -> dict[str, Array]:
    """Return a state dict for `network` with the weights of the graph in a file. shapes, dt: as in `to_nir`.

    The graph must have the nodes that `to_nir(network)` would have, by the same names; in a chain they may be others.
    A BatchNorm, which a graph does not have, becomes one that adds the bias and changes nothing else. Neurons must be
    those of the network (tau of a PLIF is taken over). Raises InterchangeError, naming node and setting, for a
    difference.
    """
    own = nodes_of(network, shapes, dt)
    graph = read_graph(path)
    names = _matched(own.made, own.edges, graph)
    found = {node.name: node.data for node in graph.nodes}
    modules, state = dict(network.named_modules()), network.state_dict(copy=True)
    learned = {name for layer in own.layers for name in layer.nodes if isinstance(modules[layer.path], nn.PLIF)}
    for name, node in own.made.items():
        _check(node, found[names[name]], f"{path}, node {names[name]}", name in learned)
    for layer in own.layers:
        theirs, module = [found[names[name]] for name in layer.nodes], modules[layer.path]
        if isinstance(module, nn.PLIF):
            kept = dt / float(np.ravel(theirs[0].tau)[0])  # 1 / tau = sigmoid(w)
            state[f"{layer.path}.w"][...] = np.log(kept / (1 - kept))
        elif hasattr(module, "weight"):
            _take(state, layer, module, theirs, modules, str(path))
    return state


def _matched(own: Mapping[str, Any], edges: Sequence[tuple[str, str]], graph: Graph) -> dict[str, str]:
    """Name in the graph of each node of ours."""
    given = {(a, node.name) for node in graph.nodes for a in node.given}
    theirs = [node.name for node in graph.nodes]
    if set(own) == set(theirs) and set(edges) == given and not graph.loops:
        return {name: name for name in own}
    chains = len(edges) == len(own) - 1 == len(given) and all(len(node.given) < 2 for node in graph.nodes)
    if chains and len(theirs) == len(own) and not graph.loops and len({b for _, b in edges}) == len(edges):
        return dict(zip(own, theirs, strict=True))  # both in the order in which they run
    lost = sorted(set(own) ^ set(theirs))
    what = f"{len(lost)} names differ, such as {', '.join(lost[:3])}" if lost else "other edges"
    raise InterchangeError(f"{graph.path}: expected the nodes of the network, {len(own)} of them, found {what}")


def _check(own: Any, data: Any, what: str, learned: bool) -> None:
    """Raise InterchangeError unless a node is what the network has there, but for the numbers of its weights."""
    kinds = {type(own).__name__, type(data).__name__}
    if len(kinds) > 1 and kinds != {"Linear", "Affine"}:
        raise InterchangeError(f"{what}: expected {type(own).__name__}, found {type(data).__name__}")
    if hasattr(own, "weight"):
        if own.weight.shape != np.shape(data.weight):
            raise InterchangeError(f"{what}: expected weights {own.weight.shape}, found {np.shape(data.weight)}")
        if "Conv2d" in kinds:
            try:
                pairs = list(zip(conv_settings(own), conv_settings(data), strict=True))
            except ValueError as error:
                raise InterchangeError(f"{what}: expected a convolution of the network, found {error}") from None
            groups = (int(own.groups), int(data.groups))
            if groups[0] != groups[1] or any(tuple(a) != tuple(b) for a, b in pairs):
                raise InterchangeError(
                    f"{what}: expected kernel, stride, padding, dilation {conv_settings(own)} and {groups[0]} groups, "
                    f"found {conv_settings(data)} and {groups[1]}"
                )
        return
    if kinds == {"Input"} and not np.array_equal(*(next(iter(n.input_type.values())) for n in (own, data))):
        raise InterchangeError(f"{what}: expected the input {own.input_type}, found {data.input_type}")
    for name in SETTINGS:
        if not hasattr(own, name) or (learned and name in ("tau", "r")):
            continue
        a, b = np.asarray(getattr(own, name), float), np.asarray(getattr(data, name), float)
        if "AvgPool2d" in kinds:
            a, b = (np.array(pair_of(n)) for n in (a, b))
        if a.shape != b.shape or not np.allclose(a, b, rtol=SAME, atol=0):
            shown = f"{a.flat[0]:g}" if a.shape == b.shape else f"a shape of {a.shape}"
            other = f"{b.flat[0]:g}" if a.shape == b.shape else f"{b.shape}"
            raise InterchangeError(f"{what}: {name}: the network has {shown}, the graph {other}")


def _take(
    state: dict[str, Array], layer: Layer, module: Any, nodes: list[Any], modules: Mapping[str, Module], what: str
) -> None:
    """Put the weights of the nodes of one layer into a state dict."""
    weights = []
    for node, pixels in zip(nodes, layer.pixels, strict=True):
        w = np.asarray(node.weight)
        if w.ndim == 4:
            weights.append(w.transpose(2, 3, 1, 0))  # [kh, kw, Ci / groups, Co]
            continue
        if pixels is not None:
            w = w.reshape(len(w), *first(pixels)).transpose(0, 2, 3, 1).reshape(w.shape)  # columns as [H, W, C]
        weights.append(w.T)
    state[f"{layer.path}.weight"][...] = _grouped(np.concatenate(weights, axis=-2), module, f"{what}: {layer.path}")
    bias = sum(np.asarray(node.bias) for node in nodes if getattr(node, "bias", None) is not None)
    if layer.norm:
        norm: Any = modules[layer.norm]
        for name, value in (("weight", 1), ("bias", bias), ("running_mean", 0), ("running_var", 1 - norm.eps)):
            state[f"{layer.norm}.{name}"][...] = value
        bias = 0
    if module.bias is not None:
        state[f"{layer.path}.bias"][...] = bias
    elif np.any(bias):
        raise InterchangeError(f"{what}: expected no bias at {layer.path}, found one")
    changed = [f"{layer.path}.weight", *([f"{layer.norm}.bias"] if layer.norm else [])]
    if any(not np.isfinite(state[name]).all() for name in changed):
        raise InterchangeError(f"{what}: expected finite weights of {layer.path}, found others")


def _grouped(w: np.ndarray, module: Any, what: str) -> np.ndarray:
    """Weights as the layer has them: those of a convolution in groups without the zeros between them."""
    own, ci = module.weight.shape, module.weight.shape[-2]
    groups = w.shape[-2] // ci
    if groups == 1:
        return w
    co = own[-1] // groups
    blocks = [w[:, :, k * ci : (k + 1) * ci, k * co : (k + 1) * co] for k in range(groups)]
    found = np.concatenate(blocks, axis=-1)
    if np.count_nonzero(found) != np.count_nonzero(w):
        raise InterchangeError(f"{what}: expected {groups} groups with zeros between them, found other weights")
    return found
