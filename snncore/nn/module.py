"""Module: a piece of a network that holds parameters, buffers and other modules."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from snncore import backend
from snncore.backend import Array
from snncore.context import context
from snncore.tape import Tensor, bump

__all__ = ["Buffer", "Module", "ModuleDict", "ModuleList", "Parameter"]


class Parameter(Tensor):
    """A tensor that training changes. A number or a list becomes float32, the type in which layers are made."""

    def __init__(self, data: Any) -> None:
        super().__init__(data if hasattr(data, "dtype") else np.asarray(data, np.float32), requires_grad=True)


class Buffer:
    """An array that belongs to the state of a module but has no gradient, such as a running mean."""

    def __init__(self, data: Array) -> None:
        self.data: Array = np.asarray(data) if isinstance(data, np.generic) else data  # which weights are loaded into


class Module:
    """Base of layers and networks: assign Parameters, Buffers and Modules as attributes, and write `forward`.

    Names are the attribute paths, such as `stages.0.unimodal.a.conv.weight`, in the order of assignment.
    """

    training = True
    dtype: np.dtype = np.dtype(np.float32)
    """Float type of the parameters, and of what is computed from spikes alone."""

    def forward(self, *inputs: Any) -> Any:
        """Compute the outputs; subclasses define it."""
        raise TypeError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs: Any) -> Any:
        """Run forward, with this module on `snncore.context.context.scope` meanwhile."""
        if not context.scope:
            context.forwards += 1
        context.scope.append(self)
        try:
            return self.forward(*inputs)
        finally:
            context.scope.pop()

    # -- walking the tree --

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield (attribute, module) for each direct child."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield (path, module) for this module (path "") and all below it, parents first."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all below it."""
        return (module for _, module in self.named_modules())

    def _named(self, kind: type) -> Iterator[tuple[str, Any]]:
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind):
                    yield f"{path}.{name}" if path else name, value

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

    def state_dict(self) -> dict[str, Array]:
        """Return the arrays (not copies) of all parameters and buffers by name."""
        return {name: x.data for kind in (Parameter, Buffer) for name, x in self._named(kind)}

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
        for module in self.modules():
            module.training = mode
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

    def astype(self, dtype: Any) -> "Module":
        """Convert parameters, buffers and everything computed from spikes alone to a float type."""
        for module in self.modules():
            module.dtype = np.dtype(dtype)
        return self._convert(lambda x: x.astype(dtype))

    def to(self, device: str) -> "Module":
        """Move parameters and buffers to `auto`, `cpu`, `cuda` or `cuda:<index>`."""
        return self._convert(lambda x: backend.to_device(x, device))

    def _convert(self, change: Any) -> "Module":
        self.reset()
        bump(self.parameters())
        for kind in (Parameter, Buffer):
            for _, x in self._named(kind):
                x.data = change(x.data)
        self.zero_grad()
        return self


class ModuleList(Module):
    """Modules in order, named 0, 1, 2, ..."""

    def __init__(self, modules: Any) -> None:
        self._items = list(modules)
        for i, module in enumerate(self._items):
            setattr(self, str(i), module)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        return self._items[index]


class ModuleDict(Module):
    """Modules by name, such as one for each modality."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._items = dict(modules)
        for name, module in self._items.items():
            setattr(self, name, module)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __getitem__(self, name: str) -> Any:
        return self._items[name]
