"""The state of a network in PyTorch's layout of arrays, and back: the same numbers, other axes, other names of buffers.

    layer          here                       PyTorch
    Conv2d         [kh, kw, Ci / groups, Co]  [Co, Ci / groups, kh, kw]
    Conv1d         [k, Ci, Co]                [Co, Ci, k]
    Linear         [Ci, Co]                   [Co, Ci]
    BatchNorm      weight, bias, running_mean, running_var: the same; PyTorch counts batches beside them

Everything else has the same shape in both. Names are those of this network: no PyTorch is needed to write or read them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from snncore.backend import asnumpy
from snncore.interchange.error import InterchangeError
from snncore.nn import layers
from snncore.nn.module import Buffer, Module, Parameter

__all__ = ["AXES", "COUNTER", "from_torch_layout", "in_torch_layout"]

AXES: dict[type, tuple[int, ...]] = {
    layers.Conv2d: (3, 2, 0, 1),
    layers.GroupedConv2d: (3, 2, 0, 1),
    layers.Conv1d: (2, 1, 0),
    layers.Linear: (1, 0),
}
"""Axes of a weight here, in the order in which PyTorch has them, by kind of layer."""

COUNTER = "num_batches_tracked"  # a buffer of every batch normalisation there, without which a strict load fails


def _states(network: Module) -> Iterator[tuple[str, Module, str, np.ndarray]]:
    """Yield (path, module, name, array) for every parameter and buffer, in the order of the modules."""
    for path, module in network.named_modules():
        for name, x in vars(module).items():
            if isinstance(x, Parameter | Buffer):
                yield path, module, name, asnumpy(x.data)


def in_torch_layout(network: Module) -> dict[str, np.ndarray]:
    """Return copies of all parameters and buffers by name, as PyTorch lays them out."""
    found: dict[str, np.ndarray] = {}
    for path, module, name, x in _states(network):
        prefix = f"{path}." if path else ""
        axes = AXES.get(type(module)) if name == "weight" else None
        found[prefix + name] = np.array(x if axes is None else x.transpose(axes), order="C")
        if isinstance(module, layers.BatchNorm) and name == "running_var":
            found[prefix + COUNTER] = np.array(0, np.int64)
    return found


def from_torch_layout(network: Module, arrays: Mapping[str, Any], what: str = "arrays") -> dict[str, np.ndarray]:
    """Return `arrays`, laid out as PyTorch does under our names, as `network.load_state_dict` takes them.

    what: the file that they are of, for messages. Floats of another size are converted. Raises InterchangeError,
    listing them, for arrays that are missing or left over or have another shape or another kind of numbers.
    """
    left = {name: np.asarray(x) for name, x in arrays.items() if name.rpartition(".")[2] != COUNTER}
    found: dict[str, np.ndarray] = {}
    wrong: list[str] = []
    for path, module, name, own in _states(network):
        full = f"{path}.{name}" if path else name
        axes = AXES.get(type(module)) if name == "weight" else None
        expected = own.shape if axes is None else tuple(own.shape[a] for a in axes)
        x = left.pop(full, None)
        if x is None:
            wrong.append(f"{full} is missing")
        elif x.shape != expected:
            wrong.append(f"{full} has the shape {x.shape}, expected {expected}")
        elif x.dtype.kind != own.dtype.kind:
            wrong.append(f"{full} is of type {x.dtype}, expected {own.dtype}")
        elif not np.isfinite(x).all():
            wrong.append(f"{full} has values that are not finite")
        else:
            back = x if axes is None else x.transpose(np.argsort(axes).tolist())
            found[full] = np.array(back, own.dtype, order="C")
    wrong += [f"{name} has no place in the network" for name in left]
    if wrong:
        more = f"; and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise InterchangeError(f"{what}: expected the weights of another network: {'; '.join(wrong[:6])}{more}")
    return found
