"""The neurons of SpikingJelly and snnTorch, read by the names of their classes: neither library is imported."""

import math
from collections.abc import Callable
from typing import Any

from snncore import functions as F
from snncore.firing import Firing
from snncore.foreign.neurons import Neuron

__all__ = ["KNOWN", "reset"]


def _firing(module: Any, decay: float) -> Firing:
    """The settings of a neuron of SpikingJelly. The threshold is in no count; a learnt one may be an array."""
    return Firing(decay=decay, v_reset=None if module.v_reset is None else float(module.v_reset))


def _several(module: Any) -> bool:
    return getattr(module, "step_mode", "s") == "m"


def _if(module: Any) -> Neuron:
    return Neuron(F.LIF(firing=_firing(module, 1.0)), _several(module), "v")


def _lif(module: Any) -> Neuron:
    decay = 1 - 1 / float(module.tau)
    return Neuron(F.LIF(firing=_firing(module, decay)), _several(module), "v", scaled=bool(module.decay_input))


def _plif(module: Any) -> Neuron:
    decay = 1 - 1 / (1 + math.exp(-float(module.w)))
    return Neuron(F.PLIF(firing=_firing(module, decay)), _several(module), "v", scaled=bool(module.decay_input))


def _leaky(module: Any, **more: Any) -> Neuron:
    """A neuron of snnTorch: reset to zero is a hard one, `none` is none; each spike is reset at the step after it."""
    mechanism, beta = module.reset_mechanism, module.beta.detach().cpu().flatten().tolist()
    decay = min(1.0, max(0.0, beta[0])) if len(beta) == 1 else OF_SEVERAL
    firing = Firing(decay=decay, v_reset=0.0 if mechanism == "zero" else None)
    return Neuron(F.LIF(firing=firing), False, "mem", resets=mechanism != "none", **more)


OF_SEVERAL = 0.9
"""A decay for neurons that have one each: a product, which is all that the counts ask of it."""


def _lapicque(module: Any) -> Neuron:
    return _leaky(module, scaled=True)  # by 1 / C, its time step


def _synaptic(module: Any) -> Neuron:
    return _leaky(module, currents=1)


def _recurrent_leaky(module: Any) -> Neuron:
    return _leaky(module, added=1, inside=("recurrent",))


def _recurrent_synaptic(module: Any) -> Neuron:
    return _leaky(module, currents=1, added=1, inside=("recurrent",))


KNOWN: dict[tuple[str, str], Callable[[Any], Neuron]] = {
    ("spikingjelly", "IFNode"): _if,
    ("spikingjelly", "SimpleIFNode"): _if,
    ("spikingjelly", "LIFNode"): _lif,
    ("spikingjelly", "SimpleLIFNode"): _lif,
    ("spikingjelly", "ParametricLIFNode"): _plif,
    ("snntorch", "Leaky"): _leaky,
    ("snntorch", "Lapicque"): _lapicque,
    ("snntorch", "Synaptic"): _synaptic,
    ("snntorch", "RLeaky"): _recurrent_leaky,
    ("snntorch", "RSynaptic"): _recurrent_synaptic,
}
"""By library and class. Any other neuron of theirs is counted operation by operation, as torch runs it."""

SPIKING = {("spikingjelly", "BaseNode"), ("snntorch", "SpikingNeuron")}
NEURONS = ("spikingjelly.activation_based.neuron", "snntorch._neurons")
"""Where the libraries have their neurons: some of them, such as PSN and LeakyParallel, are of no common class."""


def is_unknown_neuron(module: Any) -> bool:
    """Whether a module is a neuron of one of the two libraries that is in no table here."""
    kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(module).__mro__}
    return bool(kinds & SPIKING) or type(module).__module__.startswith(NEURONS)


def reset(model: Any) -> None:
    """Put the neurons of a network to rest."""
    for module in model.modules():
        kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(module).__mro__}
        if ("spikingjelly", "MemoryModule") in kinds:
            module.reset()
        elif ("snntorch", "SpikingNeuron") in kinds and hasattr(module, "reset_mem"):
            module.reset_mem()
