"""Module: a piece of a network that holds parameters, buffers and other modules."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from snncore import backend
from snncore.backend import Array
from snncore.context import context, current_path, enter
from snncore.given import as_array
from snncore.tape import Function, Tensor, bump

__all__ = ["Buffer", "Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that training changes. A number or a list becomes float32, the type in which layers are made."""

    def __init__(self, data: Any) -> None:
        super().__init__(_of_layers(data), requires_grad=True)


class Buffer:
    """An array that belongs to the state of a module but has no gradient, such as a running mean; as `Parameter`."""

    def __init__(self, data: Any) -> None:
        self.data: Array = as_array(_of_layers(data))  # which weights are loaded into


class Module:
    """Base of layers and networks: assign Parameters, Buffers and Modules as attributes, and write `forward`.

    Names are the attribute paths, such as `stages.0.unimodal.a.conv.weight`, in the order of assignment.
    A list, tuple, set or dict of modules or parameters as an attribute raises TypeError, because nobody would train
    them: use ModuleList or ModuleDict. What is assigned elsewhere as well may be in one, and an attribute whose name
    begins with `_` may hold anything.
    """

    training = True
    dtype: np.dtype = np.dtype(np.float32)
    """Float type of the parameters, and of what is computed from spikes alone."""

    def forward(self, *inputs: Any) -> Any:
        """Compute the outputs; subclasses define it."""
        raise TypeError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs: Any) -> Any:
        """Run forward, with this module on `snncore.context.context.scope` meanwhile.

        The message of an error that forward raises begins with the path of the innermost module that was running.
        """
        enter(self)
        try:
            return self.forward(*inputs)
        except Exception as error:
            _name_layer(error)
            raise
        finally:
            context.scope.pop()

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Container) and not name.startswith("_"):
            self._refuse_hidden(name, value, type(self).__name__)
        super().__setattr__(name, value)

    def _refuse_hidden(self, name: str, value: Any, owner: str) -> None:
        """Raise TypeError if a container holds modules or parameters that this module does not hold as well."""
        hidden = list(_inside(value))
        if hidden:
            own = {id(module) for module in self.modules()}
            own |= {id(x) for module in self.modules() for x in vars(module).values() if isinstance(x, State)}
            lost = next((x for x in hidden if id(x) not in own), None)
            if lost is not None:
                use = "ModuleDict" if isinstance(value, dict) else "ModuleList"
                what = f"use nn.{use}" if isinstance(lost, Module) else "make each an attribute"
                raise TypeError(
                    f"{owner}.{name}: found a {type(lost).__name__} in a {type(value).__name__}, whose parameters "
                    f"would be neither trained nor saved: {what}"
                )

    # -- walking the tree --

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield (attribute, module) for each direct child."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield (path, module) for this module (path "") and all below it, parents first."""
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:  # no generator in a generator: training walks the tree several times a step
            path, module = waiting.pop()
            yield path, module
            below = [(f"{path}.{name}" if path else name, child) for name, child in module.children()]
            waiting += reversed(below)

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all below it."""
        return (module for _, module in self.named_modules())

    def _named(self, kind: type) -> Iterator[tuple[str, Any]]:
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind):
                    yield f"{path}.{name}" if path else name, value
                elif isinstance(value, Container) and not name.startswith("_"):  # a list may have grown since
                    self._refuse_hidden(name, value, f"{path or type(self).__name__} ({type(module).__name__})")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, parameter) for every parameter."""
        return self._named(Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield (path, buffer) for every buffer."""
        return self._named(Buffer)

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter."""
        return (p for _, p in self.named_parameters())

    def count_parameters(self) -> int:
        """Number of entries of all parameters; one that is used in two places counts once."""
        return sum(p.size for p in {id(p): p for p in self.parameters()}.values())

    # -- state --

    def state_dict(self, copy: bool = False) -> dict[str, Array]:
        """Return the arrays of all parameters and buffers by name.

        They are the arrays that training goes on changing; `copy=True` gives copies, to keep the best weights.
        """
        named = {name: x.data for kind in (Parameter, Buffer) for name, x in self._named(kind)}
        return {name: x.copy() for name, x in named.items()} if copy else named

    def load_state_dict(self, arrays: Mapping[str, Array], what: str | None = None) -> None:
        """Copy `arrays` into the parameters and buffers of the same names.

        what: where they come from, for the message of an error; by default the name of the class.
        Raises CheckpointError, before anything is changed, if a name is missing or unexpected, or if a shape or
        type differs.
        """
        from snncore.checkpoint import check_tensors

        own = self.state_dict()
        check_tensors(arrays, own, what or type(self).__name__)
        for name, x in own.items():
            x[...] = backend.array_module(x).asarray(arrays[name])
        bump(self.parameters())

    def train(self, mode: bool = True) -> "Module":
        """Switch to training (batch statistics) or, with False, to evaluation (running statistics)."""
        if mode not in (True, False):  # "eval" would be true
            raise ValueError(f"train: expected True or False, found {mode!r}")
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> "Module":
        """Switch to evaluation."""
        return self.train(False)

    def reset(self) -> None:
        """Forget the membranes that neurons with `stateful=True` keep between calls."""
        for _, child in self.children():
            child.reset()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters():
            p.zero_grad()

    def astype(self, dtype: DTypeLike) -> "Module":
        """Convert parameters, buffers and everything computed from spikes alone to float32 or float64.

        Raises TypeError for another type: there are no kernels for it.
        """
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"astype: expected float32 or float64, found {np.dtype(dtype)}")
        for module in self.modules():
            module.dtype = np.dtype(dtype)
        return self._convert(lambda x: x.astype(dtype))

    def to(self, device: str) -> "Module":
        """Move parameters and buffers to `auto`, `cpu`, `cuda` or `cuda:<index>`."""
        return self._convert(lambda x: backend.to_device(x, device))

    def _convert(self, change: Callable[[Array], Array]) -> "Module":
        self.reset()
        bump(self.parameters())
        for kind in (Parameter, Buffer):
            for _, x in self._named(kind):
                x.data = change(x.data)
        self.zero_grad()
        return self

    # -- for the eye --

    def __repr__(self) -> str:
        """A line for each module below this one, with the shapes of its parameters and its plain settings."""
        name, settings = type(self).__name__, ", ".join(_settings(self))
        lines = [f"({name}): {child!r}" for name, child in self.children()]
        if not lines:
            return f"{name}({settings})"
        inside = "\n".join([settings, *lines] if settings else lines).replace("\n", "\n  ")
        return f"{name}(\n  {inside}\n)"


def _of_layers(data: Any) -> Any:
    return data if hasattr(data, "dtype") else np.asarray(data, np.float32)


State = Parameter | Buffer
Container = list | tuple | set | dict


def _inside(value: Any) -> Iterator[Module | Parameter | Buffer]:
    """Yield the modules, parameters and buffers in a container, and in containers inside it."""
    for x in value.values() if isinstance(value, dict) else value:
        if isinstance(x, Module | Parameter | Buffer):
            yield x
        elif isinstance(x, Container):
            yield from _inside(x)


def _name_layer(error: Exception) -> None:
    """Put the path of the running module before the message of an error, once, at the innermost module."""
    path = current_path()
    plain = len(error.args) == 1 and isinstance(error.args[0], str) and type(error).__str__ is Exception.__str__
    if not path or not plain or hasattr(error, "layer"):
        return
    kind = type(context.scope[-1]).__name__
    error.args = (f"{path} ({kind}): {error.args[0].removeprefix(f'{kind}: ')}",)
    error.layer = path  # type: ignore[attr-defined]


def _settings(module: Module) -> Iterator[str]:
    for name, value in vars(module).items():
        if isinstance(value, State):
            yield f"{name} {list(value.data.shape)}"
        elif isinstance(value, Function):
            yield from (f"{key}={x}" for key, x in vars(value).items() if not key.startswith("_") and _plain(x))
        elif name not in ("training", "dtype") and not name.startswith("_") and value is not None and _plain(value):
            yield f"{name}={value}"


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_plain(x) for x in value)
    if dataclasses.is_dataclass(value):
        return len(dataclasses.fields(value)) <= 8  # the settings of a neuron, not those of a network
    return value is None or isinstance(value, bool | int | float | str | np.dtype)
