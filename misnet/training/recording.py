"""What is watched while a network runs: firing rates, the first value that is not finite, memory."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from misnet.models.contract import Model
from snncore import Tensor, no_grad, observe
from snncore.backend import Array, array_module
from snncore.context import current_path
from snncore.flat import FlatBuffers, is_finite
from snncore.nn import Module, unfused
from snncore.recorded_memory import peak_bytes
from snncore.tally import Reading, Tally
from snncore.tape import Function

__all__ = ["FiringRates", "first_nonfinite", "peak_memory_mib", "statistics_of", "trains_of"]


class FiringRates:
    """Counts the spikes of every neuron layer while `recording()`; a rate is spikes per neuron and timestep.

    Layers go by the path of their module. A neuron with several outputs has a suffix for each: the `output_names` of
    its Function, as `.a` and `.v` of an MLIF, or their numbers. A neuron that is built of smaller operations (fusion by
    MLP or attention) counts all its outputs under its one path.
    """

    def __init__(self) -> None:
        self._spikes: dict[str, int] = defaultdict(int)
        self.tally: Tally | None = None  # of spikes, until they are read
        self._pending: list[tuple[str, int]] = []
        self.places: dict[str, int] = defaultdict(int)  # neurons x timesteps x samples

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Count inside the block."""
        with observe(self._count, currents=False):
            yield

    def _count(self, function: Function, inputs: tuple, outputs: tuple) -> None:
        for name, s in trains_of(function, outputs):
            self._pending.append((name, self.tally_on(array_module(s)).count(s)))
            self.places[name] += s.size

    def tally_on(self, xp: Any) -> Tally:
        """Return the tally of this recording on the device of the array module xp."""
        if self.tally is None:
            self.tally = Tally(xp)
        return self.tally

    def read(self) -> Reading | None:
        """Take over what was counted, waiting once for a GPU; None if nothing was counted since."""
        if self.tally is None:
            return None
        reading = self.tally.read()
        for path, slot in self._pending:
            self._spikes[path] += reading.count(slot)
        self.tally, self._pending = None, []
        return reading

    def again(self) -> "FiringRates":
        """Return another recording of the same layers, that reads the same slots: of a step that is run once more."""
        other = FiringRates()
        other.tally, other._pending = self.tally, list(self._pending)
        other.places.update(self.places)
        return other

    @property
    def spikes(self) -> dict[str, int]:
        """Spikes of each layer so far."""
        self.read()
        return self._spikes

    def add(self, layers: Mapping[str, Sequence[int]]) -> None:
        """Add spikes and places of each layer that were counted elsewhere."""
        for path, (spikes, places) in layers.items():
            self._spikes[path] += spikes
            self.places[path] += places

    def rates(self) -> dict[str, float]:
        """Mean firing rate of each layer."""
        return {path: self.spikes[path] / self.places[path] for path in self.places}

    def mean(self) -> float:
        """Mean firing rate of all neurons together."""
        return sum(self.spikes.values()) / max(1, sum(self.places.values()))


def trains_of(function: Function, outputs: tuple[Array, ...]) -> list[tuple[str, Array]]:
    """Return the spikes among the outputs of a call that was observed, each with the name of its layer.

    Names are those of `FiringRates`. None for what is no neuron, and for what neurons emit in relaxed mode.
    """
    if not function.spiking:
        return []
    path = current_path()
    trains = [s for s in outputs if s.dtype == np.uint8]  # not membranes
    if len(trains) == 1:
        return [(path, trains[0])]
    names = getattr(function, "output_names", range(len(trains)))
    return [(f"{path}.{names[k]}", s) for k, s in enumerate(trains)]


_STATISTICS: WeakKeyDictionary[Module, FlatBuffers] = WeakKeyDictionary()


def statistics_of(model: Module) -> FlatBuffers:
    """Return the running statistics of a model, moved into one array at the first call, to be kept and put back."""
    buffers = [b for _, b in model.named_buffers()]
    if model not in _STATISTICS or not _STATISTICS[model].hold(buffers):
        _STATISTICS[model] = FlatBuffers(buffers)
    return _STATISTICS[model]


def first_nonfinite(model: Model, *streams: Array) -> str | None:
    """Say where the first value that is not finite appears: an input, a parameter, or a layer's output in order.

    If every layer is finite, name the head with the largest score, which a loss may overflow on; None if no score
    is large. Running statistics stay as they are.
    """
    for name, x in zip(model.streams, streams, strict=True):
        if not is_finite(x):
            return f"{name} input"
    for path, p in model.named_parameters():
        if not is_finite(p.data):
            return f"parameter {path}"
    found: list[str] = []

    def look(function: Function, inputs: tuple, outputs: tuple) -> None:
        if not found and any(y.dtype.kind == "f" and not is_finite(y) for y in outputs):
            found.append(f"output of layer {current_path() or type(model).__name__} ({function.name})")

    statistics = statistics_of(model)
    kept = statistics.keep()
    with no_grad(), unfused(), observe(look), np.errstate(all="ignore"):
        scores = model(*map(Tensor, streams))
    statistics.put_back(kept)
    if found:
        return found[0]
    largest = {head: float(abs(y.data).max()) for head, y in scores.items()}
    head = max(largest, key=lambda name: largest[name])
    return f"the loss alone, of a score of {largest[head]:.3g} from head {head}" if largest[head] > 1e15 else None


def peak_memory_mib(device: str = "cpu") -> float:
    """Most memory so far in MiB: resident memory of this process, or what all pools on a GPU had together.

    NaN where the system does not tell.
    """
    if device != "cpu":
        return peak_bytes() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
