"""What a network does with its inputs: the operations of one forward pass, in order, and what each takes from which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.context import current_path
from snncore.nn.module import Module
from snncore.nn.neurons import unfused
from snncore.tape import Tensor, no_grad, observe

__all__ = ["Step", "Trace", "trace_of"]


@dataclass(frozen=True)
class Step:
    """One operation. path: of the layer that ran it. arrays: its inputs. sources: for each of them the step or the
    input of the network that made it (inputs are -1, -2, ...), None for what no step made, such as weights.
    """

    path: str
    function: Any
    arrays: tuple[Array | None, ...]
    outputs: tuple[Array, ...]
    sources: tuple[int | None, ...]

    @property
    def name(self) -> str:
        """Name of the operation, such as Conv2d."""
        return self.function.name


@dataclass(frozen=True)
class Trace:
    """The steps in order, and the step (or the input) that made each output, by the name of the output."""

    steps: list[Step]
    outputs: dict[str, int | None]


def trace_of(network: Module, shapes: Sequence[Sequence[int]]) -> Trace:
    """Run a network once, in evaluation, on zeros [1, 1, ...] of each shape, with nothing fused, and say what it did.

    The network may return a tensor, several, or a dict of them by name. Its modes are
    afterwards as they were; neurons forget their membranes.
    """
    modes = [(module, module.training) for module in network.modules()]
    inputs = [np.zeros((1, 1, *shape), network.dtype) for shape in shapes]
    made: dict[int, int] = {id(x): -1 - k for k, x in enumerate(inputs)}
    steps: list[Step] = []

    def look(function: Any, arrays: tuple[Array | None, ...], outputs: tuple[Array, ...]) -> None:
        sources = tuple(made.get(id(x)) for x in arrays)
        for y in outputs:
            made[id(y)] = len(steps)
        steps.append(
            Step(current_path(), function, arrays, outputs, sources)
        )  # which keeps the arrays: ids stay theirs

    try:
        network.eval()
        network.reset()
        with no_grad(), unfused(), observe(look):
            found = network(*(Tensor(x) for x in inputs))
    finally:
        for module, training in modes:
            module.training = training
        network.reset()
    if isinstance(found, Tensor):
        found = {"output": found}
    elif isinstance(found, list | tuple):
        found = {f"output_{k}": y for k, y in enumerate(found)}
    return Trace(steps, {name: made.get(id(y.data)) for name, y in found.items()})
