"""What is watched while a network runs: firing rates, the first value that is not finite, memory."""

import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from snncore import Tensor, no_grad, observe
from snncore.backend import Array, array_module, cupy_module
from snncore.context import context
from snncore.nn import Module, unfused
from snncore.tally import Reading, Tally
from snncore.tape import Function

__all__ = ["FiringRates", "first_nonfinite", "is_finite", "peak_memory_mib"]


class FiringRates:
    """Counts the spikes of every neuron layer while `recording()`; a rate is spikes per neuron and timestep.

    Layers go by the path of their module, with `.a` and `.v` for the two outputs of an MLIF; one that is
    built of smaller operations (fusion by MLP or attention) counts both under its one path.
    """

    def __init__(self, model: Module) -> None:
        self.names = {id(module): path for path, module in model.named_modules()}
        self._spikes: dict[str, int] = defaultdict(int)
        self.tally: Tally | None = None  # of spikes on a GPU, until they are read
        self._pending: list[tuple[str, int]] = []
        self.places: dict[str, int] = defaultdict(int)  # neurons x timesteps x samples

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Count inside the block."""
        with observe(self._count):
            yield

    def _count(self, function: Function, inputs: tuple, outputs: tuple) -> None:
        if not function.spiking:
            return
        path = self.names[id(context.scope[-1])]
        trains = [s for s in outputs if s.dtype == np.uint8]  # not membranes, nor what relaxed mode emits
        for s, suffix in zip(trains, ("",) if len(trains) == 1 else (".a", ".v"), strict=False):
            xp = array_module(s)
            if xp is np:
                self._spikes[path + suffix] += int(np.count_nonzero(s.view(bool)))  # 0/1 bytes
            else:
                self._pending.append((path + suffix, self.tally_on(xp).count(s)))
            self.places[path + suffix] += s.size

    def tally_on(self, xp: Any) -> Tally:
        """Return the tally of this recording on the GPU of the module xp."""
        if self.tally is None:
            self.tally = Tally(xp)
        return self.tally

    def read(self) -> Reading | None:
        """Take over what a GPU has counted, waiting for it once; None if nothing was counted there."""
        if self.tally is None:
            return None
        reading = self.tally.read()
        for path, slot in self._pending:
            self._spikes[path] += reading.count(slot)
        self.tally, self._pending = None, []
        return reading

    @property
    def spikes(self) -> dict[str, int]:
        """Spikes of each layer so far."""
        self.read()
        return self._spikes

    def rates(self) -> dict[str, float]:
        """Mean firing rate of each layer."""
        return {path: self.spikes[path] / self.places[path] for path in self.places}

    def mean(self) -> float:
        """Mean firing rate of all neurons together."""
        return sum(self.spikes.values()) / max(1, sum(self.places.values()))


def is_finite(x: Array) -> bool:
    """Whether no entry is NaN or infinite."""
    with np.errstate(all="ignore"):
        if math.isfinite(float(x.sum())):  # one pass; what is not finite makes a sum that is not
            return True
    return bool(array_module(x).isfinite(x).all())  # or finite entries overflowed


def first_nonfinite(model: Module, x_a: Array, x_v: Array) -> str | None:
    """Say where the first value that is not finite appears: an input, a parameter, or a layer's output in order.

    If every layer is finite, name the head with the largest score, which a loss may overflow on; None if no score
    is large.
    """
    for name, x in (("audio input", x_a), ("visual input", x_v)):
        if not is_finite(x):
            return name
    for path, p in model.named_parameters():
        if not is_finite(p.data):
            return f"parameter {path}"
    names = {id(module): path for path, module in model.named_modules()}
    found: list[str] = []

    def look(function: Function, inputs: tuple, outputs: tuple) -> None:
        if not found and any(y.dtype.kind == "f" and not is_finite(y) for y in outputs):
            found.append(f"output of layer {names[id(context.scope[-1])] or 'MISNet'} ({function.name})")

    with no_grad(), unfused(), observe(look), np.errstate(all="ignore"):
        scores = model(Tensor(x_a), Tensor(x_v))
    if found:
        return found[0]
    largest = {head: float(abs(y.data).max()) for head, y in zip(("head", "head_a", "head_v"), scores, strict=True)}
    head = max(largest, key=lambda name: largest[name])
    return f"the loss alone, of a score of {largest[head]:.3g} from {head}" if largest[head] > 1e15 else None


def peak_memory_mib(device: str = "cpu") -> float:
    """Most memory so far in MiB: resident memory of this process, or what CuPy's pool took on a GPU.

    NaN where the system does not tell.
    """
    if device != "cpu":
        return cupy_module().get_default_memory_pool().total_bytes() / 2**20  # the pool gives nothing back
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
