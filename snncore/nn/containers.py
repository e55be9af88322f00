"""Modules that hold others: in a chain, in a list, by name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from snncore.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Ordered(Module):
    """Base of modules in order, named 0, 1, 2, ..."""

    def __init__(self, modules: Iterable[Module]) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"{type(self).__name__}: expected modules, found {type(module).__name__} at place {i}")
            setattr(self, str(i), module)

    def __iter__(self) -> Iterator[Any]:
        return (module for _, module in self.children())

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return list(self)[index]

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}.append: expected a module, found {type(module).__name__}")
        setattr(self, str(len(self)), module)


class ModuleList(_Ordered):
    """Modules in order, named 0, 1, 2, ...; the network that holds them says what to do with them."""


class Sequential(_Ordered):
    """Modules one after the other, named 0, 1, 2, ...: `Sequential(a, b)` or `Sequential([a, b])`."""

    def __init__(self, *modules: Module | Iterable[Module]) -> None:
        given: Any = modules
        if len(modules) == 1 and isinstance(modules[0], Iterable) and not isinstance(modules[0], Sequential):
            given = modules[0]
        super().__init__(given)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


class ModuleDict(Module):
    """Modules by name, such as one for each modality.

    Raises TypeError for what is no module, ValueError for a name that every module has, such as `train`, or with a dot.
    """

    def __init__(self, modules: Mapping[str, Module]) -> None:
        if not isinstance(modules, Mapping):
            raise TypeError(f"ModuleDict: expected modules by name, found a {type(modules).__name__}")
        for name, module in modules.items():
            if not isinstance(name, str) or not name or "." in name:  # a dot stands between a module and its parts
                raise ValueError(f"ModuleDict: expected names without a dot, found {name!r}")
            if not isinstance(module, Module):
                raise TypeError(f"ModuleDict: expected modules, found {type(module).__name__} under {name!r}")
            if hasattr(Module, name):
                raise ValueError(f"ModuleDict: expected names that modules do not use themselves, found {name!r}")
            setattr(self, name, module)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.children())

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __getitem__(self, name: str) -> Any:
        return dict(self.children())[name]

    def __contains__(self, name: str) -> bool:
        return name in dict(self.children())
