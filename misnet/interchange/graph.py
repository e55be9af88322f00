"""The weights of a graph of NIR for a model."""

from pathlib import Path
from typing import Any

from misnet.models.contract import Model
from snncore.interchange import DT, InterchangeError, weights_of_graph

__all__ = ["from_graph", "shapes_of"]


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    """Shape of one sample at one timestep of each stream, channels last."""
    return {name: shape[1:] for name, shape in model.config.shapes().items()}


def from_graph(model: Model, path: Path, dt: float = DT) -> dict[str, Any]:
    """Return a state dict with the weights of the graph in a file; InterchangeError where it is not of this model."""
    try:
        return weights_of_graph(model, shapes_of(model), path, dt)
    except InterchangeError as error:
        raise InterchangeError(f"{model.config.title}: {error}") from None
