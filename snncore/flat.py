"""All parameters of an optimizer in one buffer, and their gradients in another, so that a step is one launch."""

from collections.abc import Iterator, Mapping

import numpy as np

from snncore.backend import Array, array_module
from snncore.tape import Tensor

__all__ = ["FlatParameters", "flat_parameters"]

ALIGN = 64  # entries: each parameter begins at a multiple of 256 bytes, as cuBLAS likes it


class FlatParameters:
    """Moves parameters into one buffer: their arrays become views of it, and their gradients will be of another.

    parameters: by name, float32, on one GPU. w, g: flat float32, the parameters and gradients one after the other, with
    zeros between them. What lies between stays zero in every step, for its gradient is zero.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        xp = array_module(next(iter(parameters.values())).data)
        self.places: dict[str, slice] = {}
        end = 0
        for name, p in parameters.items():
            self.places[name] = slice(end, end + p.size)
            end += -(-p.size // ALIGN) * ALIGN
        self.w, self.g = xp.zeros(end, np.float32), xp.zeros(end, np.float32)
        self.views: dict[str, Array] = {}
        for name, p in parameters.items():
            view = self.views[name] = self.view(self.w, name)
            view[...] = p.data
            p.data, p.grad_home = view, self.view(self.g, name)

    def view(self, buffer: Array, name: str) -> Array:
        """Return the part of a buffer like w that belongs to a parameter, in its shape."""
        return buffer[self.places[name]].reshape(self.parameters[name].shape)

    def zeros(self) -> Array:
        """Return another buffer like w."""
        return array_module(self.w).zeros(self.w.shape, self.w.dtype)

    def gather(self) -> None:
        """Bring gradients that were put elsewhere into the buffer.

        Raises ValueError if the array of a parameter is no longer the view that was made here.
        """
        for name, p in self.parameters.items():
            if p.data is not self.views[name]:
                raise ValueError(f"{name}: its array was replaced after the optimizer was made; make a new optimizer")
            if p.grad is not None and p.grad is not p.grad_home and p.grad_home is not None:
                p.grad_home[...] = p.grad

    def spans(self, keys: Mapping[str, int]) -> Iterator[tuple[slice, int]]:
        """Yield (part of the buffer, key) for neighbours with the same key; parameters without a key are left out."""
        start, end, before = 0, 0, None
        for name, place in self.places.items():
            key = keys.get(name)
            if key != before:
                if before is not None:
                    yield slice(start, end), before
                start, before = place.start, key
            end = place.start + -(-(place.stop - place.start) // ALIGN) * ALIGN
        if before is not None:
            yield slice(start, end), before


def flat_parameters(parameters: Mapping[str, Tensor]) -> FlatParameters | None:
    """Return the parameters in one buffer if they are all float32 and on a GPU, else None and nothing is changed."""
    on_gpu = all(array_module(p.data) is not np and p.dtype == np.float32 for p in parameters.values())
    return FlatParameters(parameters) if on_gpu else None
