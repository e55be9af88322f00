"""Neurons of others, each read as the neuron of the engine that it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from snncore import functions as F
from snncore.foreign.axes import Axes, Laid
from snncore.foreign.recorder import LayoutError, Recorder, StepsError
from snncore.foreign.trail import as_events, as_numpy
from snncore.functions.lif import charged_entries, neuron_lead
from snncore.opcount.cost import OpCount, times
from snncore.opcount.events import entries

__all__ = ["Neuron", "Neurons"]


@dataclass(frozen=True)
class Neuron:
    """What a module that fires does, in the words of the engine: current comes first, and spikes do in what it returns.

    function: the neuron, such as `functions.LIF(firing=Firing(decay=0.9))`. several_steps: its input is [T, N, ...] and
    it goes through time by itself; else [N, ...], one timestep. state: name of the attribute that holds the membrane
    between calls ("" if the caller holds it, as the last argument). resets: False if it never resets. scaled: each
    current is multiplied before it is added (SpikingJelly's decay_input). currents: further leaky states that are
    added up before the membrane. added: further values that are added to the membrane. inside: submodules that apply
    weights, and are counted by themselves.
    """

    function: Any
    several_steps: bool = False
    state: str = ""
    resets: bool = True
    scaled: bool = False
    currents: int = 0
    added: int = 0
    inside: tuple[str, ...] = ()

    def cost(self, rec: Recorder, c: np.ndarray, s: np.ndarray, leading: int, carried: bool) -> None:
        """Record the call: currents c [T, N, ...] made spikes s, from a membrane that was `carried` in or at rest."""
        v0 = c[0] if carried else None
        extra = (np.zeros((), np.float32),) if isinstance(self.function, F.PLIF) else ()
        more = (v0,) if isinstance(self.function, F.CLIF) else ()
        if self.scaled:
            rec.count(F.Mul(), (c, np.float32(0.5)), (c,), leading, [])
        function = self.function if self.resets else _Unreset(self.function)
        rec.count(function, (c, *extra, v0, *more), (s,), leading, [], self.function.name)
        if self.currents or self.added:
            rec.count(_States(self.currents, self.added, carried), (c,), (s,), leading, [], self.function.name)


class _Unreset(F.LIF):
    """The cost of a neuron that fires and never resets."""

    def __init__(self, neuron: F.LIF) -> None:
        super().__init__(firing=neuron.firing)
        self.neuron = neuron

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        count = self.neuron.cost(inputs, outputs)
        for name in ("reset_add", "reset_set"):
            count.blocks[0][1].pop(name, None)
        return count


class _States(F.LIF):
    """The cost of what a neuron of second order adds: leaks and charges of its currents, sums with what comes back."""

    def __init__(self, currents: int, added: int, carried: bool) -> None:
        super().__init__()
        self.currents, self.added, self.carried = currents, added, carried

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        c = inputs[0]
        lead, size = neuron_lead(c.shape), c.dtype.itemsize
        moved = times(charged_entries(c.shape, self.carried), self.currents)
        per = entries(c.shape, lead)
        return OpCount(
            lead,
            leak_mul=moved,
            charge_add=moved,
            neuron_add=per * self.added,
            state_read_bytes=times(moved, size),
            state_write_bytes=per * size * self.currents,
        )


class Neurons:
    """Reads the neurons of one run.

    known: by library and class, what reads one off a module. given: the same, or a Neuron, of a user's own classes.
    """

    def __init__(
        self,
        rec: Recorder,
        known: Mapping[tuple[str, str], Callable[[Any], Neuron]],
        given: Mapping[type, Neuron | Callable[[Any], Neuron]] | None = None,
    ) -> None:
        self.rec, self.known, self.given = rec, known, dict(given or {})
        self.called: set[int] = set()
        self.open: list[tuple[Any, Neuron, Any, bool, Axes]] = []

    def read(self, module: Any) -> Neuron | None:
        """The neuron that a module is; None if it is none, or none that is known."""
        for kind in type(module).__mro__:
            if kind in self.given:
                found = self.given[kind]
                return found if isinstance(found, Neuron) else found(module)
        kind = type(module)
        reader = self.known.get((kind.__module__.partition(".")[0], kind.__name__))
        return None if reader is None else reader(module)

    def enter(self, module: Any, neuron: Neuron, args: tuple, kwargs: dict[str, Any]) -> None:
        """Before the forward of a neuron: keep its currents, and see whether it has a membrane."""
        x = args[0] if args else next(iter(kwargs.values()))
        self.rec.check_origin(x)
        self.rec.firing += 1
        told = self.rec.trail.timesteps
        if neuron.several_steps and len(x) != (told or None):
            expected = f"expected {told}" if told else f"and none were told: say timesteps={len(x)} (--steps {len(x)})"
            raise StepsError(
                f"timesteps: {self.rec.path} ({type(module).__name__}) takes an input of {len(x)} timesteps, shape "
                f"{tuple(x.shape)}, {expected}"
            )
        first = id(module) not in self.called
        self.called.add(id(module))
        passed = (
            [v for v in (*args[1:], *kwargs.values()) if torch.is_tensor(v)] if not neuron.state or args[1:] else []
        )
        held: Any = passed[-1] if passed else getattr(module, neuron.state, None) if neuron.state else None
        shape = x.shape[1:] if neuron.several_steps else x.shape
        if neuron.state or passed:
            carried = torch.is_tensor(held) and held.shape == shape and not (first and not bool(held.any()))
        else:
            carried = not first and not neuron.several_steps
        axes = self.rec.trail.axes(x)
        if neuron.several_steps:
            self._check_time(x, axes)
        if neuron.several_steps and all(role != "T" for axis in axes for role, _ in axis):
            axes = ((("T", len(x)),), *axes[1:])  # its first axis is time, whatever was known
        self.open.append((module, neuron, self.rec.trail.laid(x, True, axes), carried, axes))

    def _check_time(self, x: Any, axes: Axes) -> None:
        """Raise LayoutError if an axis behind the first of what a neuron takes through time was told to be time."""
        times = [i for i, axis in enumerate(axes) if any(role == "T" and n > 1 for role, n in axis)]
        if times[:1] == [0]:
            self.rec.in_time = True
        elif times:
            raise LayoutError(
                f"layout: {self.rec.path} goes through the first axis of {tuple(x.shape)}, but axis {times[0]} was "
                "taken for timesteps; say layout='N', 'TN' or 'NT'"
            )

    def leave(self, output: Any) -> None:
        """After it: count the call, and mark its spikes."""
        module, neuron, c, carried, axes = self.open.pop()
        self.rec.firing -= 1
        outputs = [y for y in (output if isinstance(output, tuple | list) else (output,)) if torch.is_tensor(y)]
        spikes = outputs[0]
        for y in outputs[1:]:
            self.rec.made(y, False, False, axes if len(axes) == y.ndim else None)
        for name in (neuron.state, f"{neuron.state}_seq") if neuron.state else ():  # a network may read its membrane
            held: Any = getattr(module, name, None)
            if torch.is_tensor(held):
                self.rec.made(held, False, False, axes if len(axes) == held.ndim else None)
        values = as_numpy(spikes)
        found = as_events(values)
        if found is None:
            whole = bool((values == np.round(values)).all())
            what = "signed spikes" if whole else "scaled spikes"
            self.rec.notes[f"{what} of {self.rec.path} ({type(module).__name__}): read as analog values"] += 1
        self.rec.made(spikes, found is not None, False, axes)
        fired = values != 0 if found is None else found
        s = self.rec.trail.laid(torch.from_numpy(np.ascontiguousarray(fired)), axes=axes).array
        array, leading = _through_time(c, s, neuron.several_steps)
        neuron.cost(self.rec, array[0], array[1].astype(s.dtype, copy=False), leading, carried)


def _through_time(c: Laid, s: np.ndarray, several_steps: bool) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """(c, s) as [T, N, ...], or [1, N, ...] for a neuron that sees one timestep, and how many axes are cells."""
    if several_steps:
        return (c.array, s), 2 if c.leading == 2 else 0
    if c.leading == 2 and len(c.array) == 1:
        return (c.array, s), 2
    return (c.array[None], s[None]), 2 if c.leading == 1 else 0
