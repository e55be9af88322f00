"""Counts of a graph of NIR, run on data or by a rate."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from misnet.audit.layers import table_subject
from misnet.audit.layers_row import Rate, TableError
from misnet.audit.nir_graph import graph_rows
from misnet.audit.subject import Subject
from snncore import Ops, Tensor, count_ops, no_grad
from snncore.interchange.nir_graph import Graph, read_graph
from snncore.interchange.nir_network import DT, network_of

__all__ = ["graph_subject", "parse_inputs"]

SAMPLES = 32  # at a time


def parse_inputs(graph: Graph, path: Path) -> np.ndarray:
    """Read data [T, N, ...] for a graph from an .npy file: integers of at least 0 as events, or floats; channels last.

    Raises TableError for another shape or type.
    """
    try:
        x = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        raise TableError(f"{path}: expected an array of numbers of numpy.save, found none") from None
    shapes = {node.shape for node in graph.nodes if node.kind == "Input"}
    if len(shapes) != 1:
        raise TableError(f"{graph.path}: expected one shape of all inputs, found {' and '.join(map(str, shapes))}")
    (shape,) = shapes
    if not isinstance(x, np.ndarray) or x.ndim != 2 + len(shape) or x.shape[2:] != shape or 0 in x.shape:
        found = x.shape if isinstance(x, np.ndarray) else "several arrays"
        raise TableError(f"{path}: expected [T, N, {', '.join(map(str, shape))}] of the graph's Input, found {found}")
    if x.dtype.kind not in "buif":
        raise TableError(f"{path}: expected numbers, found type {x.dtype}")
    if x.dtype.kind in "bui":
        if x.min() < 0 or x.max() > 255:
            raise TableError(f"{path}: expected events of 0 to 255, found {x.min()} to {x.max()}")
        x = x.astype(np.uint8)
    elif not np.isfinite(x).all():
        raise TableError(f"{path}: expected finite numbers, found {x[~np.isfinite(x)][0]}")
    else:
        x = x.astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(x, 2, -1)) if len(shape) > 1 else x


def graph_subject(
    path: Path,
    inputs: Path | None = None,
    timesteps: int = 4,
    rate: Rate | None = None,
    dt: float = DT,
) -> Subject:
    """Counts of a graph: run on `inputs`, or by a rate alone as a layer table."""
    graph = read_graph(path)
    if inputs is None:
        rows, words = graph_rows(graph)
        subject = table_subject(path, rows, timesteps, rate, source="graph")
        subject.warnings = [*words, *subject.warnings]
        return subject
    network, x = network_of(graph, dt), parse_inputs(graph, inputs)
    ops = Ops()
    ops.batches = 0
    for start in range(0, x.shape[1], SAMPLES):
        part = x[:, start : start + SAMPLES]
        with no_grad(), count_ops(samples=part.shape[1], timesteps=len(x)) as of_batch:
            network(Tensor(np.ascontiguousarray(part)))
        of_batch.calls = [replace(call, layer=_node_of(call.layer)) for call in of_batch.calls]
        ops.extend(of_batch)
    return Subject(
        title=f"{path.name} on {inputs.name}, T={len(x)}, steps of {dt:g} s",
        ops=ops,
        timesteps=len(x),
        network={"nodes": [node.name for node in graph.nodes], "source": str(path), "dt": dt},
        weights=str(path),
        parameters=network.count_parameters(),
        data={"name": inputs.name},
        warnings=[f"NIR is in continuous time: cut into forward Euler steps of {dt:g} s"],
    )


def _node_of(layer: str) -> str:
    """The node of the graph that a module of the network stands for, or is part of."""
    return layer.removeprefix("layers.").removesuffix(".convolution")
