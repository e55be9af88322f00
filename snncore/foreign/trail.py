"""What is known of the tensors of a network of others: which hold spikes, which are input, which axes are samples."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from snncore.foreign.axes import Axes, Laid, guessed, laid

__all__ = ["Known", "Trail", "as_events", "as_numpy", "small_whole"]


@dataclass
class Known:
    """What is known of a storage, and so of all views of it.

    events: it holds spikes, whatever their type. outside: input, moved, added and scaled at most. blank: zeros that
    were just made, or room for what is written. whole: constants that are whole numbers of at least 0. rounded: events
    that were rounded. near: events but for the last digits. minus: it is events less what lies in that storage.
    product: a layer with weights made it and has added no bias. inverted: it is 1 - s of spikes s. averaged, repeated:
    as in `snncore.opcount.origin.Origin`. stray: no operation made it, and it is neither input nor of the network.
    learnt: made of parameters alone. index: integers that no data went into, or that say where something is.
    axes: of each view, by its place.
    """

    alive: StorageWeakRef
    events: bool = False
    outside: bool = False
    blank: bool = False
    whole: bool = False
    rounded: bool = False
    near: bool = False
    minus: StorageWeakRef | None = None
    product: bool = False
    inverted: bool = False
    averaged: bool = False
    repeated: Any = None
    stray: bool = False
    learnt: bool = False
    index: bool = False
    axes: dict[tuple, Axes] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it holds whole numbers of at least 0, as far as is known."""
        return self.events or self.blank or self.whole

    def carried(self) -> dict[str, Any]:
        """What holds of the same entries elsewhere, but for events, outside and axes."""
        names = ("blank", "whole", "rounded", "near", "product", "averaged", "repeated", "stray", "learnt", "index")
        return {name: getattr(self, name) for name in names}


class Trail:
    """Follows the tensors of one run by their storages, so that a view needs no thought.

    kept: parameters and buffers, which no operation may take for input. learnt: the parameters among them.
    timesteps, samples: for tensors whose axes nobody told.
    """

    def __init__(
        self, kept: Sequence[Any], timesteps: int | None, samples: int | None, learnt: Sequence[Any] = ()
    ) -> None:
        self.alive = [*kept, *learnt]  # a module may replace a buffer, and another array come where it was
        self.parameters = {_storage(p) for p in self.alive}
        self.learnt = {_storage(p) for p in learnt}
        self.timesteps, self.samples = timesteps, samples
        self.storages: dict[int, Known] = {}
        self.inputs: set[int] = set()

    def is_parameter(self, x: Any) -> bool:
        """Whether x is a parameter or buffer of the network, or a view of one."""
        return _storage(x) in self.parameters

    def is_constant(self, x: Any) -> bool:
        """Whether x is a buffer of the network that holds something; one of zeros may be a membrane at rest."""
        return self.is_parameter(x) and bool(x.any())

    def is_input(self, x: Any) -> bool:
        """Whether x is what the network was called with, or a view of it."""
        return _storage(x) in self.inputs

    def of(self, x: Any) -> Known:
        """What is known of x. A tensor that nobody made here is input: events if its type says so, bool or integer."""
        key = _storage(x)
        known = self.storages.get(key)
        if known is None or known.alive.expired():
            known = Known(StorageWeakRef(x.untyped_storage()), _is_integer(x), outside=True)
            known.stray, known.learnt = key not in self.parameters, key in self.learnt
            known.index = not known.stray and _is_integer(x)
            self.storages[key] = known
            if len(self.storages) % 4096 == 0:  # a weak reference keeps a few bytes of a storage that is gone
                self.storages = {k: v for k, v in self.storages.items() if not v.alive.expired()}
        return known

    def mark(self, y: Any, events: bool, outside: bool, axes: Axes | None, **more: Any) -> None:
        """Say what an operation made. `axes` None: nobody knows, they are read off the shape."""
        known = Known(StorageWeakRef(y.untyped_storage()), events or _is_integer(y), outside, **more)
        self.storages[_storage(y)] = known
        if axes is not None:
            known.axes[_place(y)] = axes

    def settle(self, y: Any, before: Known) -> None:
        """After something was written into y: add what is known of the rest of its storage, or forget all."""
        now = self.of(y)
        if now is before:  # nobody followed it
            now = self.storages[_storage(y)] = Known(before.alive, _is_integer(y))
        elif y.numel() * y.element_size() != y.untyped_storage().nbytes():
            now.events, now.whole = now.events and before.counts, now.counts and before.counts
            now.blank, now.outside = now.blank and before.blank, now.outside and before.outside
            now.rounded, now.near = now.rounded or before.rounded, now.near or before.near
            now.product, now.repeated, now.minus, now.learnt, now.index = False, None, None, False, False
        now.axes = before.axes | now.axes

    def axes(self, x: Any) -> Axes:
        """Which axes of x are time and samples."""
        told = self.of(x).axes.get(_place(x))
        return guessed(x.shape, self.timesteps, self.samples) if told is None else told

    def follow(self, x: Any, axes: Axes | None) -> None:
        """Say which axes a view has."""
        if axes is not None:
            self.of(x).axes[_place(x)] = axes

    def take(self, x: Any, layout: str, events: bool = False) -> None:
        """Say that x is an input, and what its first axes are. events: it holds events, whatever its type."""
        known = self.of(x)
        known.events, known.stray, known.index = known.events or events, False, _is_integer(x) and not events
        self.inputs.add(_storage(x))
        if x.ndim >= len(layout):
            self.follow(x, guessed(x.shape, self.timesteps, self.samples, layout))

    def array(self, x: Any, analog: bool = False, zeros: bool = False) -> np.ndarray:
        """x as the engine has it: spikes as the narrowest unsigned integers, all else as floats.

        zeros: so are zeros that were just made.
        """
        found = as_numpy(x)
        known = self.of(x)
        if not analog and (known.events or (zeros and known.blank) or _is_integer(x)):
            as_integers = as_events(_rounded(found) if known.near else found)
            if as_integers is not None and self._fits(known, as_integers):
                return as_integers
        return found if found.dtype.kind == "f" else found.astype(np.float32)

    def _fits(self, known: Known, x: np.ndarray) -> bool:
        """Whether the entries are what was believed of them."""
        if known.rounded:
            return int(x.max(initial=0)) <= 255
        return known.events or not known.blank or not x.any()

    def laid(self, x: Any, analog: bool = False, axes: Axes | None = None) -> Laid:
        """The array of x with time and samples first."""
        return laid(self.array(x, analog), self.axes(x) if axes is None else axes)


def as_numpy(x: Any) -> np.ndarray:
    """The entries of a tensor; of a float type that NumPy lacks as float32."""
    values = x.detach().cpu().resolve_conj().resolve_neg()
    lacks = values.dtype.is_floating_point and values.dtype not in (torch.float16, torch.float32, torch.float64)
    return (values.float() if lacks else values).numpy()


def _rounded(x: np.ndarray) -> np.ndarray:
    """x rounded where it is a whole number but for the last digits, as what is subtracted and added again."""
    whole = np.rint(x)
    return whole if np.abs(x - whole).max(initial=0) < 1e-3 else x


def as_events(x: np.ndarray) -> np.ndarray | None:
    """x as unsigned integers, the narrowest that hold it; None if it holds anything else."""
    if x.dtype == bool:
        return x.view(np.uint8)
    if x.size == 0:
        return x.astype(np.uint8)
    low, high = float(x.min()), float(x.max())  # float16 would not hold the bound
    if not 0 <= low <= high < 2**32:
        return None
    made = x.astype(np.min_scalar_type(int(high)))
    return made if x.dtype.kind in "ui" or np.array_equal(made, x) else None


def small_whole(x: np.ndarray) -> int | None:
    """The largest entry of x if all are whole numbers from 0 to 255, else None."""
    if x.size == 0 or not 0 <= float(x.min()) <= float(x.max()) <= 255 or not np.array_equal(x, np.rint(x)):
        return None
    return int(x.max())


def _is_integer(x: Any) -> bool:
    return not (x.dtype.is_floating_point or x.dtype.is_complex)


def _storage(x: Any) -> int:
    return x.untyped_storage()._cdata


def _place(x: Any) -> tuple[Sequence[int], Sequence[int], int]:
    return tuple(x.shape), x.stride(), x.storage_offset()
