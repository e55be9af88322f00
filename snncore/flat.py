"""Parameters, their gradients, and buffers in one array each: a step is one update, one all-reduce, one copy."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from snncore.backend import Array, array_module
from snncore.tape import Tensor

__all__ = ["FlatBuffers", "FlatParameters", "flat_parameters", "is_finite"]

ALIGN = 64  # entries: each parameter begins at a multiple of 256 bytes, as cuBLAS likes it


class FlatParameters:
    """Moves parameters into one buffer: their arrays become views of it, and their gradients will be of another.

    parameters: by name, of one float type and on one device. w, g: flat, the parameters and gradients one after the
    other, with zeros between them. What lies between stays zero in every step, for its gradient is zero.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        first = next(iter(parameters.values())).data
        xp = array_module(first)
        self.places: dict[str, slice] = {}
        end = 0
        for name, p in parameters.items():
            self.places[name] = slice(end, end + p.size)
            end += -(-p.size // ALIGN) * ALIGN
        self.w, self.g = xp.zeros(end, first.dtype), xp.zeros(end, first.dtype)
        self.views = {name: self.view(self.w, name) for name in parameters}
        self.homes = {name: self.view(self.g, name) for name in parameters}
        for name, p in parameters.items():
            self._take_in(name, p)

    def _take_in(self, name: str, p: Tensor) -> None:
        self.views[name][...] = p.data
        p.data, p.grad_home = self.views[name], self.homes[name]

    def view(self, buffer: Array, name: str) -> Array:
        """Return the part of a buffer like w that belongs to a parameter, in its shape."""
        return buffer[self.places[name]].reshape(self.parameters[name].shape)

    def zeros(self) -> Array:
        """Return another buffer like w."""
        return array_module(self.w).zeros(self.w.shape, self.w.dtype)

    def gather(self) -> None:
        """Bring arrays and gradients that were put elsewhere, as another optimizer does, into the buffers.

        Raises ValueError if the array of a parameter has another type or device than when the optimizer was made.
        """
        xp = array_module(self.w)
        for name, p in self.parameters.items():
            view, home = self.views[name], self.homes[name]
            if p.data is not view:
                if array_module(p.data) is not xp or (p.dtype, p.shape) != (view.dtype, view.shape):
                    raise ValueError(
                        f"{name}: was {view.dtype} {view.shape} when the optimizer was made, found {p.dtype} {p.shape} "
                        f"of {array_module(p.data).__name__}; make a new optimizer"
                    )
                self._take_in(name, p)
            if p.grad is not None and p.grad is not home:
                home[...] = p.grad

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

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse copy.deepcopy and pickle: in a copy the parameters would no longer be parts of the buffer."""
        raise TypeError("an optimizer cannot be copied; make a new one and load the state_dict() of the old one")


def flat_parameters(parameters: Mapping[str, Tensor]) -> FlatParameters | None:
    """Return the parameters in one buffer, or None, with nothing changed, if they differ in type or device."""
    kinds = {(array_module(p.data), p.dtype) for p in parameters.values()}
    return FlatParameters(parameters) if len(kinds) == 1 else None


class HasData(Protocol):
    """What is moved by FlatBuffers: `snncore.nn.Buffer` is one."""

    data: Array


class FlatBuffers:
    """Moves buffers, such as running statistics, into one array a type, so that all are kept by one copy."""

    def __init__(self, buffers: Iterable[HasData]) -> None:
        self.buffers = list(buffers)
        self.views: list[Array] = []
        self.flats: list[Array] = []
        groups: dict[Any, list[HasData]] = {}
        for b in self.buffers:
            groups.setdefault((array_module(b.data), b.data.dtype), []).append(b)
        self.buffers = [b for group in groups.values() for b in group]
        for (xp, dtype), group in groups.items():
            self.flats.append(xp.zeros(sum(b.data.size for b in group), dtype))
            end = 0
            for b in group:
                view = self.flats[-1][end : end + b.data.size].reshape(b.data.shape)
                view[...] = b.data
                b.data = view
                self.views.append(view)
                end += view.size

    def hold(self, buffers: Iterable[HasData]) -> bool:
        """Whether these are the buffers that were moved, and each still where it was moved to."""
        found = {id(b): b.data for b in buffers}
        own = {id(b): view for b, view in zip(self.buffers, self.views, strict=True)}
        return found.keys() == own.keys() and all(found[key] is own[key] for key in own)

    def keep(self) -> list[Array]:
        """Return a copy of everything, for `put_back`."""
        return [flat.copy() for flat in self.flats]

    def put_back(self, kept: list[Array]) -> None:
        """Give every buffer the values that it had when `keep` was called."""
        for flat, values in zip(self.flats, kept, strict=True):
            flat[...] = values


def is_finite(x: Array) -> bool:
    """Whether no entry is NaN or infinite."""
    with np.errstate(all="ignore"):
        if math.isfinite(float(x.sum())):  # one pass; what is not finite makes a sum that is not
            return True
    return bool(array_module(x).isfinite(x).all())  # or finite entries overflowed
