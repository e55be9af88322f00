"""What a monitor recorded of one spike train: pieces as they were copied, and the arrays that are made of them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from snncore.backend import Array, array_module, asnumpy
from snncore.firing import Firing
from snncore.functions.trace import Membranes, Trace

__all__ = ["MonitorError", "Piece", "Record"]


class MonitorError(LookupError):
    """A layer that is not there, or something of it that was not recorded."""


@dataclass(frozen=True)
class Piece:
    """A call of a neuron: spikes [T, N, ...], how they came about, and what had to be at least 0 for one.

    neuron: name of its operation. trace: None of a neuron that states none. margin: [T, N, ...], or a list of arrays
    of one timestep, or None if the trace tells.
    """

    neuron: str
    spikes: Array
    trace: Trace | None
    margin: Any = None

    @property
    def samples(self) -> int:
        """Length of the second axis."""
        return self.spikes.shape[1] if self.spikes.ndim > 1 else 1

    def first(self, timesteps: int | None, samples: int | None, deep: bool) -> "Piece":
        """Return the first timesteps and samples in arrays of their own: the spikes and, if deep, all else."""
        part = (slice(timesteps), slice(samples))
        margin = self.margin
        if isinstance(margin, list):
            margin = array_module(self.spikes).concatenate(margin)
        margin = None if margin is None else _own(margin, part)  # small `Fire` pieces wait for their neuron
        if self.trace is None or not deep:
            return Piece(self.neuron, _own(self.spikes, part), None, margin)
        trace = self.trace.first(timesteps, samples)
        return replace(self, spikes=trace.spikes, trace=trace, margin=margin)


class Record:
    """One spike train of a layer, as NumPy arrays [T, N, ...] that are made when they are asked for first.

        h[t] = decay * membrane[t-1] + current[t]      charge
        spikes[t] = margin[t] >= 0                     margin = h - threshold, scaled by alpha in an MLIF
        membrane[t] = h[t], or reset where it fired

    path: of the layer. neuron: name of its operation, such as LIF. output: what the layer gave last, if recorded.
    Raises MonitorError for what was not recorded, or is not there: a layer without neurons has its output alone.
    """

    def __init__(self, path: str, runs: list[list[Piece]], output: Array | None = None) -> None:
        self.path, self._runs, self._output = path, runs, output
        self.neuron = runs[0][0].neuron if runs else None

    @cached_property
    def spikes(self) -> np.ndarray:
        """What fired, uint8 (float in relaxed mode)."""
        return self._join("spikes", [[piece.spikes for piece in run] for run in self._runs])

    @property
    def current(self) -> np.ndarray:
        """What came in, float: after the normalisation and the weights that belong to the neuron."""
        return self._arrays[0]

    @property
    def charge(self) -> np.ndarray:
        """Membrane before it fires, h."""
        return self._arrays[1]

    @property
    def membrane(self) -> np.ndarray:
        """Membrane after the reset, v."""
        return self._arrays[2]

    @cached_property
    def margin(self) -> np.ndarray:
        """What is at least 0 where the neuron fires: the charge less the threshold, or what a fusion made of it."""
        return self._join("margin", [[self._margin(piece) for piece in run] for run in self._runs])

    @property
    def firing(self) -> Firing | None:
        """The settings of the neuron, its surrogate among them; None if its membranes were not recorded."""
        traces = [piece.trace for run in self._runs for piece in run]
        return traces[0].firing if traces and traces[0] is not None else None

    @property
    def threshold(self) -> float | None:
        """What the charge must reach to fire; None if that is no number, as with a fusion of two membranes."""
        traces = [piece.trace for run in self._runs for piece in run]
        return traces[0].threshold if traces and traces[0] is not None else None

    @property
    def output(self) -> np.ndarray:
        """What the last operation of the layer gave."""
        if self._output is None:
            raise MonitorError(f"{self.path}: its output was not recorded; add 'output' to record")
        return asnumpy(self._output)

    @cached_property
    def _membranes(self) -> dict[int, Membranes]:
        found = {}
        for piece in (piece for run in self._runs for piece in run):
            if piece.trace is None:
                raise MonitorError(
                    f"{self.path} ({piece.neuron}): its membranes are not known: either record names spikes alone, or "
                    "the operation states no traces"
                )
            found[id(piece)] = made = piece.trace.membranes()
            wrong = int((made.fired != piece.spikes).sum())
            if wrong:
                raise MonitorError(
                    f"{self.path} ({piece.neuron}): computed again, {wrong} of {made.fired.size} spikes differ from "
                    "those of the network; its traces are not what the operation does"
                )
        return found

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        found = self._membranes
        return tuple(self._join("membrane", [[found[id(p)][k] for p in run] for run in self._runs]) for k in range(3))

    def _margin(self, piece: Piece) -> Array:
        if piece.margin is not None:
            return piece.margin
        charge = self._membranes[id(piece)].charge
        if piece.trace is None or piece.trace.margin is None:
            raise MonitorError(f"{self.path} ({piece.neuron}): its charge alone does not tell what fires")
        return piece.trace.margin(charge)

    def _join(self, what: str, runs: list[list[Array]]) -> np.ndarray:
        if not runs:
            raise MonitorError(f"{self.path}: has no neurons, and so no {what}; its output can be recorded")
        whole = [np.concatenate([asnumpy(x) for x in run]) if len(run) > 1 else asnumpy(run[0]) for run in runs]
        if len(whole) == 1:
            return whole[0]
        if whole[0].ndim < 2 or len({x.shape[:1] + x.shape[2:] for x in whole}) > 1:
            raise MonitorError(f"{self.path}: calls of shapes {', '.join(str(x.shape) for x in whole)} do not join")
        return np.concatenate(whole, axis=1)  # [T, N, ...], the samples of all forwards


def _own(x: Array, part: tuple[slice, ...]) -> Array:
    return x[part[: x.ndim]].copy()
