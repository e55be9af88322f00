"""Look inside a network while it runs: `with monitor(net, "stages.0.*") as seen: net(x)`, then `seen["stages.0.lif"]`.

It watches by `snncore.observe`, so the network computes what it computes without it, and nothing is done, in no layer,
outside the block. Membranes are not kept by the kernels: they are computed again, when they are asked for, from what
came in and by the reference kernel of the neuron (`Function.traces`), and must fire where the network fired.
"""

import difflib
import fnmatch
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from snncore.backend import Array
from snncore.capture import refuse_while_capturing
from snncore.context import context
from snncore.functions.fire import Fire
from snncore.functions.stated import StatedNeuron
from snncore.given import is_integer
from snncore.nn.module import Module
from snncore.tape import Function, observe
from snncore.trains import MonitorError, Piece, Record

__all__ = ["RECORDED", "MonitorError", "Record", "Seen", "monitor"]

RECORDED = ("spikes", "membrane", "current", "output")
"""What can be recorded. `output` is what a layer without neurons gave last, whole."""


class Seen(Mapping[str, Record]):
    """What a monitor recorded: a `Record` for each spike train, by the path of its layer, in the order of execution.

    A neuron of several trains has a suffix for each, as `.a` and `.v` of an MLIF; a layer that runs more than once in a
    forward has `#2`, `#3`, ... after the first. A network that is itself the layer goes by the name of its class.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._runs: dict[str, list[_Run]] = {}
        self._outputs: dict[str, Array] = {}
        self._made: dict[str, Record] = {}

    def __getitem__(self, path: str) -> Record:
        if path not in self._made:
            if path not in self:
                raise MonitorError(self._missing(path))
            self._made[path] = Record(path, [run.pieces for run in self._runs.get(path, [])], self._outputs.get(path))
        return self._made[path]

    def __contains__(self, path: object) -> bool:
        return path in self._runs or path in self._outputs

    def __iter__(self) -> Iterator[str]:
        return iter({**self._runs, **self._outputs})

    def __len__(self) -> int:
        return len(set(self))

    def _missing(self, path: str) -> str:
        if path in self._names.values() and (below := [name for name in self if name.startswith(path + ".")]):
            return f"{path}: has no spikes of its own, but {_some(below)}"
        if path in self._names.values():
            return f"{path}: nothing was recorded; either it did not run in the block, or it has no neurons"
        return f"{path}: nothing was recorded under this name; {_nearest(path, list(self))}"


@dataclass
class _Run:
    """What one forward gave of a train: one piece, or one for each timestep. step: that of the last piece."""

    pieces: list[Piece]
    step: int | None
    samples: int


@dataclass
class _Watch:
    """Keeps what the watched layers do, in arrays of its own."""

    seen: Seen
    names: dict[int, str]  # of modules, by id
    what: frozenset[str]
    limit: int | None
    timesteps: int | None
    forward: int = -1
    ran: dict[tuple[str, int | None], int] = field(
        default_factory=dict
    )  # trains of a layer, in this forward, at a step
    waiting: dict[str, list[tuple[int, Piece]]] = field(default_factory=dict)  # of `Fire`, for the neuron they are of

    def __post_init__(self) -> None:
        self.deep = bool(self.what & {"membrane", "current"})

    def __call__(self, function: Function, inputs: tuple, outputs: tuple) -> None:
        path = self.names.get(id(context.scope[-1])) if context.scope else None
        if path is None:
            return
        refuse_while_capturing("a monitor copies what layers do, which a recorded step cannot")
        if "output" in self.what:
            self.seen._outputs[path] = outputs[0].copy()
        if self.what == {"output"}:
            return
        if self.forward != context.forwards:
            self.flush()
            self.forward, self.ran = context.forwards, {}
        if isinstance(function, StatedNeuron):
            self._add_stated(path, function, inputs, outputs)
        elif isinstance(function, Fire) and context.timestep is not None:
            piece = Piece("Fire", outputs[0][None], None, inputs[0][None])  # [1, N, ...]
            self.waiting.setdefault(path, []).append((context.timestep, piece))
        elif isinstance(function, Fire):
            self._add(path, Piece("Fire", outputs[0], None, inputs[0]), None)
        elif function.spiking:
            traces = function.traces(inputs, outputs) if self.deep else ()
            trains = [y for y in outputs if y.dtype.kind != "f"] or list(outputs[: len(traces) or 1])  # no membranes
            names: Any = getattr(function, "output_names", range(len(trains)))
            for k, s in enumerate(trains):
                trace = traces[k] if k < len(traces) else None
                self._add(
                    f"{path}.{names[k]}" if len(trains) > 1 else path, Piece(function.name, s, trace), context.timestep
                )

    def _add_stated(self, path: str, function: StatedNeuron, inputs: tuple, outputs: tuple) -> None:
        """Add the trains of a neuron of smaller operations, with what its `Fire` took, timestep by timestep.

        One that has no `Fire` of its own hands on what a neuron below it fired, which has a record already.
        """
        waiting = [piece.margin for _, piece in self.waiting.pop(path, [])]
        if waiting:
            count = len(outputs)
            for k, trace in enumerate(function.traces(inputs, outputs)):
                name = f"{path}.{'av'[k]}" if count == 2 else f"{path}.{k}" if count > 2 else path
                self._add(name, Piece(function.neuron, trace.spikes, trace, waiting[k::count]), context.timestep)

    def flush(self) -> None:
        """Make records of what `Fire` gave step by step, if no neuron came that it is of."""
        for path, pieces in self.waiting.items():
            for step, piece in pieces:
                self._add(path, piece, step)
        self.waiting = {}

    def _add(self, name: str, piece: Piece, step: int | None) -> None:
        times = self.ran[name, step] = self.ran.get((name, step), 0) + 1
        name = name if times == 1 else f"{name}#{times}"
        runs = self.seen._runs.setdefault(name, [])
        self.seen._made.pop(name, None)
        last = runs[-1].step if runs else None
        goes_on = step is not None and last is not None and step > last
        steps = sum(len(p.spikes) for p in runs[-1].pieces) if goes_on else 0
        samples = sum(run.samples for run in (runs[:-1] if goes_on else runs))
        left = None if self.limit is None else self.limit - samples
        more = None if self.timesteps is None else self.timesteps - steps
        if (left is None or left > 0) and (more is None or more > 0):
            piece = piece.first(more, left, self.deep)
            if goes_on:
                runs[-1].pieces.append(piece)
            else:
                runs.append(_Run([piece], step, piece.samples))
        if goes_on:
            runs[-1].step = step


@contextmanager
def monitor(
    net: Module,
    *layers: str,
    record: tuple[str, ...] | str = ("spikes", "membrane", "current"),
    limit: int | None = None,
    timesteps: int | None = None,
) -> Iterator[Seen]:
    """Record what the named layers of a network do in the block; the network is not changed, nor what it computes.

        with snncore.monitor(net, "stages.0.*") as seen:
            net(x)
        seen["stages.0.lif"].charge  # [T, N, ...]

    layers: paths of modules, with `*` and `?` for any letters; each stands for the module and all below it. None given:
    all. record: of RECORDED; membranes need the currents, which are as large as the layer's input, 4 bytes an entry.
    limit, timesteps: keep the first samples (second axis) and timesteps only; of `output`, all is kept.
    Forwards that follow each other are joined along the samples; under `at_timestep` along time.
    Raises MonitorError for what is no Module and, naming the nearest, if a name fits no layer; ValueError for another
    thing to record or a limit below 1; CaptureError in a step that is recorded as a CUDA graph.
    """
    what = frozenset((record,) if isinstance(record, str) or record is None else record)
    unknown = sorted(map(str, what - {*RECORDED}))
    if unknown or not what:
        raise ValueError(f"record: expected some of {', '.join(RECORDED)}, found {', '.join(unknown) or 'none'}")
    for name, value in (("limit", limit), ("timesteps", timesteps)):
        if value is not None and (not is_integer(value) or value < 1):
            raise ValueError(f"{name}: expected an integer of at least 1, found {value!r}")
    if not isinstance(net, Module):
        raise MonitorError(f"net: expected a Module, found {type(net).__name__}")
    names = {id(module): path or type(module).__name__ for path, module in net.named_modules()}
    for one in layers:
        if not isinstance(one, str):
            raise MonitorError(f"layers: expected paths such as {sorted(names.values())[-1]!r}, found {one!r}")
    chosen = {key: path for key, path in names.items() if not layers or any(_fits(path, one) for one in layers)}
    for one in layers:
        if not any(_fits(path, one) for path in chosen.values()):
            raise MonitorError(
                f"{one}: no layer of {type(net).__name__} has this name; {_nearest(one, names.values())}"
            )
    seen = Seen(chosen)
    watch = _Watch(seen, chosen, what, limit, timesteps)
    try:
        with observe(watch, currents=what != {"spikes"}):
            yield seen
    finally:
        watch.flush()


def _fits(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, pattern + ".*")


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 3, 0.4)
    return f"nearest: {', '.join(near)}" if near else f"there are {_some(list(known))}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
