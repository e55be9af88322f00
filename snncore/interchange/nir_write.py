"""A network of the engine as a graph of NIR, for what NIR can express; every layer that it cannot is named.

Source: Pedersen et al., Neuromorphic intermediate representation, Nature Communications 15 (2024) 8122.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snncore.files import replace_file
from snncore.interchange.error import InterchangeError
from snncore.interchange.nir_graph import import_nir
from snncore.interchange.nir_network import DT
from snncore.interchange.nir_nodes import Nodes
from snncore.interchange.trace import trace_of
from snncore.nn.module import Module

__all__ = ["nodes_of", "to_nir", "write_nir"]

LISTED = 3  # layers that a message names


def to_nir(network: Module, shapes: Sequence[int] | Mapping[str, Sequence[int]], dt: float = DT) -> Any:
    """Return the network, as it is in evaluation, as a `nir.NIRGraph`.

    shapes: of one sample at one timestep, channels last: (H, W, C), or (n,); or of each input of forward, by name.
    dt: seconds of a timestep, by which NIR's continuous time is cut when the graph is run (`network_of`).

    The network is run once on zeros and its operations are read off, so it may be any Module, as long as they are:

        Conv2d, GroupedConv2d     Conv2d, with zeros between groups; a BatchNorm after it goes into weights and bias
        Linear                    Affine, or Linear without bias; the same with BatchNorm
        LIF, PLIF, IF             LIF with tau = dt / (1 - decay), R = tau / dt; IF with R = 1 / dt; hard reset only
        AvgPool2d, GlobalAvgPool  AvgPool2d (and Flatten)
        Flatten, SEW("add"), +    Flatten; edges that meet in one node
        mean over time, at the end: nothing; the graph gives what is averaged (`metadata` of the output says so)

    Weights keep their float type. Raises InterchangeError, naming each layer that NIR cannot express, with the reason,
    or where the package nir is missing.
    """
    return nodes_of(network, shapes, dt).graph()


def nodes_of(network: Module, shapes: Sequence[int] | Mapping[str, Sequence[int]], dt: float = DT) -> Nodes:
    """Return the nodes of `to_nir` with the layers that they came from; raises what it raises."""
    nir = import_nir("a graph of NIR")
    if not dt > 0:
        raise ValueError(f"dt: expected seconds above 0, found {dt}")
    named = dict(shapes) if isinstance(shapes, Mapping) else {"input": shapes}
    trace = trace_of(network, list(named.values()))
    nodes = Nodes(nir, dt, trace, named)
    for k, step in enumerate(trace.steps):
        nodes.add(k, step)
    for name, source in trace.outputs.items():
        nodes.add_output(name, source)
    if nodes.wrong:
        raise InterchangeError(f"a graph of NIR cannot hold {_listed(nodes.wrong)}")
    return nodes


def _listed(wrong: Mapping[tuple[str, str], list[str]]) -> str:
    """Each kind of layer with the reason and the layers."""
    lines = []
    for (kind, why), paths in wrong.items():
        paths = list(dict.fromkeys(paths))
        more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
        lines.append(f"{', '.join(paths[:LISTED])}{more} ({kind}: {why})")
    return "; ".join(lines)


def write_nir(path: str | os.PathLike, graph: Any) -> None:
    """Write a `nir.NIRGraph` to a file, whole or not at all; raises InterchangeError if it cannot be written."""
    nir = import_nir("writing a graph of NIR")
    try:
        with tempfile.TemporaryDirectory() as folder:  # HDF5 wants a file that it can seek in
            temporary = Path(folder) / "graph.nir"
            nir.write(temporary, graph)
            replace_file(path, temporary.read_bytes())
    except OSError as error:
        raise InterchangeError(f"{path}: cannot be written: {error.strerror or error}") from None
