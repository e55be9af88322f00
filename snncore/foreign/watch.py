"""Hooks on the modules of a network of others: which is running, and which is a neuron that is counted as a whole."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from snncore.foreign.modes import Calls, Operations
from snncore.foreign.neurons import Neurons
from snncore.foreign.peers import KNOWN, is_unknown_neuron
from snncore.foreign.recorder import Recorder

__all__ = ["watched"]


@contextmanager
def watched(model: Any, rec: Recorder, given: Any) -> Iterator[None]:
    """Keep the path of the module that is running, and count neurons as a whole, in the block."""
    neurons = Neurons(rec, KNOWN, given)
    found = {module: neurons.read(module) for module in model.modules()}
    silenced: list[int] = []

    def before(module: Any, args: tuple, kwargs: dict[str, Any], path: str) -> None:
        rec.running.append((path, type(module).__name__))
        silenced.append(rec.quiet)
        if rec.quiet and neurons.open and path in _inside(neurons, rec):
            rec.quiet = 0
        neuron = found[module]
        if neuron is not None and not rec.quiet:
            with rec.silent():
                neurons.enter(module, neuron, args, kwargs)
            rec.quiet = 1
        elif not rec.quiet and not neurons.open and is_unknown_neuron(module):
            text = f"{path} ({type(module).__name__}) is no neuron that is known: its operations are counted one by one"
            rec.notes[text] = 1

    def after(module: Any, args: tuple, output: Any) -> None:
        if found[module] is not None and neurons.open and neurons.open[-1][0] is module:
            neurons.leave(output)
        rec.quiet = silenced.pop()
        rec.running.pop()

    with ExitStack() as stack:
        for path, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # it takes no hooks; its operations count for the module that holds it
            start = _before(before, path)
            stack.callback(module.register_forward_pre_hook(start, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(after).remove)
        fast = torch.backends.mha.get_fastpath_enabled()
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)  # it would run a whole block as one operation
        stack.enter_context(Calls(rec))
        stack.enter_context(Operations(rec))
        yield


def _before(hook: Callable, path: str) -> Callable:
    return lambda module, args, kwargs: hook(module, args, kwargs, path)


def _inside(neurons: Neurons, rec: Recorder) -> set[str]:
    """Paths of the submodules with weights of the neuron that is running."""
    neuron = neurons.open[-1][1]
    path = rec.running[-2][0] if len(rec.running) > 1 else ""
    return {f"{path}.{name}" if path else name for name in neuron.inside}
