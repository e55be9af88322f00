"""What all optimizers share: parameters in one flat buffer, counts, state, and a step that a device runs again."""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np

from snncore import backend
from snncore.backend import Array
from snncore.flat import FlatParameters, flat_parameters, is_finite
from snncore.kernels import kernels_for, reference
from snncore.opcount.cost import CostError, OpCount
from snncore.tape import Tensor, bump

__all__ = ["BLOCK", "Optimizer", "Parameters", "named_tensors", "setting"]

Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Mapping[str, Tensor]
BLOCK = 1 << 15  # entries that a step on the CPU changes at a time: five such arrays stay in the cache


class Optimizer(ABC):
    """Holds the parameters, the learning rate and the running averages; a subclass says how one array changes.

    parameters: tensors, such as `net.parameters()`, or (name, tensor) pairs, such as `net.named_parameters()`, or a
    dict; floating point. Those without a name are called 0, 1, 2, ... in messages and in the state. A tensor found
    twice is updated once, under its first name. lr: learning rate, finite and >= 0; set `.lr` before a step to follow a
    schedule. Make the optimizer after the model is on its device and has its dtype: the averages are allocated beside
    the parameters. A parameter whose grad is None is left alone, also by weight decay.
    Parameters of one type on one device are moved into one buffer and their gradients into another (see
    `snncore.flat`): the gradient of the next backward lies where the last one lay, so copy a gradient to keep it.
    Raises ValueError for a bad setting, a name used twice, a tensor that is not floating point, or no parameters.
    """

    factors_of_a_part = 0
    """How many numbers change from step to step (see `count_step`)."""

    flattens = False
    """Whether a step works on any part of a flat buffer, as one that treats every entry alike does."""

    def __init__(self, parameters: Parameters, lr: float) -> None:
        self.lr = lr
        self.steps = 0
        self.parameters: dict[str, Tensor] = {}
        self._averages: dict[str, Array] = {}
        seen: set[int] = set()
        for name, p in named_tensors(parameters):
            if name in self.parameters:
                raise ValueError(f"parameters: the name {name!r} stands for two parameters")
            if p.dtype.kind != "f":
                raise ValueError(f"parameters: {name!r}: expected floating point, found {p.dtype}")
            if id(p) not in seen:
                self.parameters[name] = p
                seen.add(id(p))
        if not self.parameters:
            raise ValueError("parameters: expected at least one parameter, found none")
        self.flat = flat_parameters(self.parameters) if self.flattens else None
        self._buffers: dict[str, Array] = {}  # of the averages, flat too
        self._counted: list[str] = []

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = setting("lr", value)

    @property
    def _launches(self) -> bool:
        """Whether a step is a kernel over the flat buffer: float32 on a GPU."""
        return self.flat is not None and self.flat.w.dtype == np.float32 and backend.array_module(self.flat.w) is not np

    def step(self, finite: Array | None = None) -> None:
        """Update every parameter that has a gradient; the gradients stay as they are.

        finite: what `all_finite` returned: where it is 0 no parameter and no average is changed, though the step is
        counted; see `take_back`. On a GPU nothing waits for it.
        Raises ValueError, before anything is changed, if a gradient has not the shape of its parameter.
        """
        ready, updates = self._begin()
        if self._launches:
            self._launch_all(updates, finite)
        elif finite is None or int(finite):
            self._update_all(ready, updates)
        bump(ready.values())

    def _begin(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Check the gradients, and count a step; returns the parameters that have one, and their counts."""
        ready = self._ready()
        for name, p in ready.items():
            found = getattr(p.grad, "shape", None)
            if found != p.shape:
                what = type(p.grad).__name__ if found is None else found
                raise ValueError(f"{name}: expected a gradient of shape {p.shape}, found {what}")
        if self.flat is not None:
            self.flat.gather()
        self._counted = list(ready)
        self.steps += 1
        return ready, self._count(self._counted)

    def _ready(self) -> dict[str, Tensor]:
        return {name: p for name, p in self.parameters.items() if p.grad is not None}

    def _launch_all(self, updates: Mapping[str, int], finite: Array | None, factors: Array | None = None) -> None:
        assert self.flat is not None
        if finite is None:
            finite = backend.array_module(self.flat.w).ones((), np.int32)
        for k, (span, count) in enumerate(self.flat.spans(updates)):
            self._launch(self.flat, span, finite, self._factors(count) if factors is None else factors[k])

    # -- a step that is recorded once and run again by the device (snncore.capture) --

    @property
    def can_be_recorded(self) -> bool:
        """Whether a step is made of kernels alone."""
        return self._launches

    def recorded_parts(self) -> int:
        """Return how many rows of factors a step takes now, for the gradients that there are."""
        assert self.flat is not None
        return sum(1 for _ in self.flat.spans(self._count(self._ready(), 0)))

    def record_step(self, finite: Array, factors: Array) -> None:
        """Launch a step, to be recorded: factors [parts, ...] float32, on the device, are read when it runs.

        It is counted only by `count_step`, each time before it runs.
        """
        self._launch_all(self._count(self._ready(), 0), finite, factors)

    def count_step(self, lr: float) -> np.ndarray:
        """Count a step that is run again, at the learning rate `lr`; returns the factors that it is to read."""
        self.lr = lr
        ready, updates = self._begin()
        bump(ready.values())
        assert self.flat is not None
        return np.array([self._factors(count) for _, count in self.flat.spans(updates)], np.float32)

    def baked(self) -> tuple[object, ...]:
        """Return the settings that a recorded step keeps, whatever they become."""
        return ()

    def averages(self) -> list[Array]:
        """Return the running averages of the flat buffer."""
        return list(self._buffers.values())

    def _update_all(self, ready: Mapping[str, Tensor], updates: Mapping[str, int]) -> None:
        if self.flat is None:
            for name, p in ready.items():
                self._update(name, p.data, p.grad)
            return
        for span, count in self.flat.spans(updates):
            compiled = self.flat.w.dtype == np.float32 and kernels_for(self.flat.w) is not reference
            if compiled and self._run_compiled(self.flat, span, count):
                continue
            for start in range(span.start, span.stop, BLOCK):
                block = slice(start, min(start + BLOCK, span.stop))
                averages = {kind: buffer[block] for kind, buffer in self._buffers.items()}
                self._update_block(self.flat.w[block], self.flat.g[block], averages, count)

    def all_finite(self, loss: Array) -> Array:
        """Return whether loss, parameters and gradients are finite: int32 of shape (), on the device of the loss."""
        if self.flat is not None:
            self.flat.gather()
            if self._launches:
                from snncore.kernels.cuda.optim import all_finite

                return all_finite(self.flat.w, self.flat.g, loss)
            arrays = [loss, self.flat.w, self.flat.g]
        else:
            found = self.parameters.values()
            arrays = [loss, *(p.data for p in found), *(p.grad for p in found if p.grad is not None)]
        return backend.array_module(loss).asarray(all(is_finite(x) for x in arrays), np.int32)

    def take_back(self) -> None:
        """Undo the count of the last step, which changed nothing because something was not finite."""
        self.steps -= 1
        self._count(self._counted, -1)
        self._counted = []

    def _count(self, names: Collection[str], by: int = 1) -> dict[str, int]:
        """Count an update of some parameters, where that matters, and return how many there were of each."""
        return dict.fromkeys(names, 0)

    def cost(self) -> OpCount:
        """Operations of one step, over all parameters that have a gradient; what is done once a step is free."""
        entries = sum(p.data.size for p in self._ready().values())
        return OpCount(**{f"opt_{kind}": count * entries for kind, count in self._entry_cost().items()})

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters.values():
            p.zero_grad()
        if self.flat is not None:
            self.flat.g.fill(0)

    def _entry_cost(self) -> dict[str, int]:
        """Operations on one entry of a parameter: how many `add`, `mul` (also divisions) and `special` (roots)."""
        raise CostError(
            f"{type(self).__name__} states no cost and cannot be counted; give it a method _entry_cost() that returns "
            "how many add, mul and special a step does on an entry"
        )

    @abstractmethod
    def _update(self, name: str, w: Array, g: Array) -> None:
        """Change the array w of one parameter in place by its gradient g, which must not be changed."""

    def _update_block(self, w: Array, g: Array, averages: Mapping[str, Array], updates: int) -> None:
        """The same for a flat part of parameters with as many `updates`, and their averages by kind."""
        raise NotImplementedError

    def _factors(self, updates: int) -> tuple[float, ...]:
        """Return what changes from step to step in update number `updates`."""
        raise NotImplementedError

    def _launch(self, flat: FlatParameters, span: slice, finite: Array, factors: tuple[float, ...] | Array) -> None:
        """The same on a GPU for a part of the flat buffers, if `finite` is not 0; factors may lie on the device."""
        raise NotImplementedError

    def _run_compiled(self, flat: FlatParameters, span: slice, updates: int) -> bool:
        """The same, to the bit, in one pass of a compiled kernel over a part of the flat buffers; False without one."""
        return False

    def _allocate(self, kind: str) -> None:
        if self.flat is not None:
            buffer = self._buffers[kind] = self.flat.zeros()
            self._averages |= {f"{kind}/{name}": self.flat.view(buffer, name) for name in self.parameters}
            return
        for name, p in self.parameters.items():
            self._averages[f"{kind}/{name}"] = backend.array_module(p.data).zeros_like(p.data)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the running averages, named `<average>/<parameter>`, and `step`, int64 of shape ()."""
        return {"step": np.array(self.steps, np.int64)} | {key: x.copy() for key, x in self._averages.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy in what `state_dict` returned, on any device, so that training goes on bit for bit.

        Raises ValueError, before anything is changed, that lists missing and unexpected keys or names the key
        whose shape or dtype differs or whose count is negative.
        """
        own = {"step": np.array(self.steps, np.int64)} | self._averages
        if not isinstance(state, Mapping):
            raise ValueError(f"state of {type(self).__name__}: expected arrays by name, found a {type(state).__name__}")
        missing, unexpected = [key for key in own if key not in state], [key for key in state if key not in own]
        if missing or unexpected:
            raise ValueError(f"state of {type(self).__name__}: missing {missing}, unexpected {unexpected}")
        for key, x in own.items():
            found = state[key]
            if not hasattr(found, "dtype"):
                kind = type(found).__name__
                raise ValueError(
                    f"state of {type(self).__name__}: {key}: expected an array of {x.dtype}, found a {kind}"
                )
            if (found.shape, found.dtype) != (x.shape, x.dtype):
                raise ValueError(
                    f"state of {type(self).__name__}: {key}: expected {x.dtype} of shape {x.shape}, "
                    f"found {found.dtype} of shape {found.shape}"
                )
            if x.dtype.kind == "i" and found < 0:
                raise ValueError(f"state of {type(self).__name__}: {key}: expected a count, found {int(found)}")
        for key, x in own.items():
            xp = backend.array_module(x)
            x[...] = backend.asnumpy(state[key]) if xp is np else xp.asarray(state[key])
        self.steps = int(own["step"])


def named_tensors(parameters: Parameters) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) for every way in which parameters may be given; those without a name get their place."""
    if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable):  # the first would give its rows
        raise ValueError(
            f"parameters: expected several tensors, such as net.parameters(), found one {type(parameters).__name__}"
        )
    for place, item in enumerate(parameters.items() if isinstance(parameters, Mapping) else parameters):
        if isinstance(item, Tensor):
            yield str(place), item
        elif isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Tensor):
            yield item
        else:
            raise ValueError(
                f"parameters: expected tensors or (name, tensor) pairs, such as net.parameters(), found "
                f"{type(item).__name__} at place {place}"
            )


def setting(name: str, value: float, below: float = math.inf) -> float:
    """Return `value` as a Python float (a NumPy float64 would widen float32 arrays), checked to be in [0, below)."""
    try:
        good = 0 <= value < below
    except (TypeError, ValueError):  # no number, or several
        good = False
    if not good:
        wanted = "a finite number >= 0" if below == math.inf else f"a number in [0, {below:g})"
        raise ValueError(f"{name}: expected {wanted}, found {value!r}")
    return float(value)
