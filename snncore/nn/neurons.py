"""Neuron layers: hold the settings, the learnable constants and, only if asked, the membrane between calls."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from snncore import functions as F
from snncore.context import changed, context
from snncore.firing import Firing, decay_of, firing_of
from snncore.given import is_number
from snncore.nn.layers import BatchNorm
from snncore.nn.module import Buffer, Module, Parameter
from snncore.surrogate import Surrogate
from snncore.tape import Tensor

__all__ = ["CLIF", "IF", "LIF", "MLIF", "NEURONS", "PLIF", "Neuron", "decay_of", "unfused"]


@contextmanager
def unfused() -> Iterator[None]:
    """Run BatchNorm and the neuron after it as two operations in the block, to look at what passes between them."""
    with changed("fused", False):
        yield


class Neuron(Module):
    """Base of neuron layers: currents [T, ...] to spikes [T, ...].

    Called with `norm`, a BatchNorm layer, a neuron applies that to its currents first: `neuron(c, norm)` gives what
    `neuron(norm(c))` gives, and LIF and IF do both in one pass over memory.

    stateful: False (default) starts every call from a resting membrane. True goes on from where the last call ended;
    call `reset()` between sequences. What is kept is one array per membrane, cut off from the tape: forgetting to
    reset cannot make memory grow.
    """

    def __init__(self, stateful: bool = False) -> None:
        self.stateful = stateful
        self.membrane: tuple[Any, ...] | None = None  # arrays, kept only if stateful

    def reset(self) -> None:
        """Forget the membrane."""
        self.membrane = None

    def run(self, function: F.LIF | F.CLIF | F.MLIF, inputs: tuple[Any, ...], spikes: int = 1) -> Any:
        """Call `function` on `inputs` and the membranes, and keep these if stateful; its first outputs are `spikes`."""
        if not self.stateful:
            return function(*inputs)
        function.return_state = True
        self.check_membrane(inputs[:spikes])
        outputs = function(*inputs, *(self.membrane or ()))
        self.membrane = tuple(v.data for v in outputs[spikes:])
        return outputs[:spikes] if spikes > 1 else outputs[0]

    # -- for neurons that are written with the operations of the tape, one timestep after the other --

    def remembered(self, trains: Sequence[Any]) -> list[Tensor | None]:
        """Return the membrane to begin with for each train [T, ...]: None at rest, else what `remember` was given."""
        if not self.stateful or self.membrane is None:
            return [None] * len(trains)
        self.check_membrane(trains)
        return [Tensor(v) for v in self.membrane]

    def remember(self, membranes: Sequence[Tensor | None]) -> None:
        """Keep the membranes after the last timestep if stateful, cut off from the tape; those of no timesteps stay."""
        if self.stateful and all(v is not None for v in membranes):
            self.membrane = tuple(v.data for v in membranes if v is not None)

    def check_membrane(self, trains: Sequence[Any]) -> None:
        """Raise ValueError unless what is kept from the last call has the shapes of these trains at one timestep."""
        for x, v in zip((*trains, *trains), self.membrane or (), strict=False):
            if v.shape != x.shape[1:]:
                raise ValueError(
                    f"{type(self).__name__}: the membrane kept from the last call has shape {v.shape}, this call "
                    f"needs {x.shape[1:]}; call reset() between sequences"
                )


def layer_firing(owner: str, firing: Firing | None, tau: float | None, decay: float | None, *rest: Any) -> Firing:
    """Return `firing` if it is given, or else that of `tau` (2.0 if neither is given) or `decay`, and the rest."""
    kept = 0.5 if tau is None and decay is None else decay_of(tau, decay)
    return firing_of(owner, firing, kept, *rest)


class LIF(Neuron):
    """Leaky integrate-and-fire layer; see `functions.LIF`. Give `tau` (default 2.0) or `decay`; or `firing` alone."""

    def __init__(
        self,
        tau: float | None = None,
        decay: float | None = None,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        stateful: bool = False,
        *,
        firing: Firing | None = None,
    ) -> None:
        super().__init__(stateful)
        rest = (v_threshold, v_reset, surrogate, detach_reset)
        self.firing = layer_firing(type(self).__name__, firing, tau, decay, *rest)

    def forward(self, c: Tensor, norm: BatchNorm | None = None) -> Tensor:
        if norm is None or self.stateful or not context.fused:
            return self.run(F.LIF(firing=self.firing), (c if norm is None else norm(c),))
        return F.BatchNormLIF(*norm.settings(), firing=self.firing)(c, norm.weight, norm.bias)


class IF(LIF):
    """Integrate-and-fire layer: a LIF that does not leak. Its decay is 1, whatever `firing` says."""

    def __init__(
        self,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        stateful: bool = False,
        *,
        firing: Firing | None = None,
    ) -> None:
        super().__init__(None, None, v_threshold, v_reset, surrogate, detach_reset, stateful, firing=firing)
        self.firing = replace(self.firing, decay=1.0)


class PLIF(LIF):
    """LIF layer that learns tau, starting from the given one; see `functions.PLIF`."""

    def __init__(
        self,
        tau: float = 2.0,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        stateful: bool = False,
        *,
        firing: Firing | None = None,
    ) -> None:
        super().__init__(tau, None, v_threshold, v_reset, surrogate, detach_reset, stateful, firing=firing)
        decay = self.firing.decay
        if not 0 < decay < 1:
            raise ValueError(f"PLIF: expected a decay between 0 and 1 to start from, found {decay}")
        self.w = Parameter(np.array(-math.log(decay / (1 - decay)), np.float32))  # sigmoid(w) = 1 / tau = 1 - decay

    def forward(self, c: Tensor, norm: BatchNorm | None = None) -> Tensor:
        return self.run(F.PLIF(firing=self.firing), (c if norm is None else norm(c), self.w))


class CLIF(Neuron):
    """Complementary LIF layer; see `functions.CLIF`."""

    def __init__(
        self,
        tau: float = 2.0,
        v_threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        stateful: bool = False,
        *,
        firing: Firing | None = None,
    ) -> None:
        super().__init__(stateful)
        self.firing = F.CLIF(tau, v_threshold, surrogate, detach_reset, firing=firing).firing

    def forward(self, c: Tensor, norm: BatchNorm | None = None) -> Tensor:
        return self.run(F.CLIF(firing=self.firing), (c if norm is None else norm(c),))


class MLIF(Neuron):
    """Multimodal LIF layer with concat fusion: (o_a, o_v, w_a, w_v) to (s_a, s_v); see `functions.MLIF`.

    alpha: start of alpha_a and alpha_v, learnable unless `learn_alpha=False`.
    """

    def __init__(
        self,
        tau: float | None = None,
        decay: float | None = None,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        stateful: bool = False,
        alpha: float = 0.5,
        learn_alpha: bool = True,
        *,
        firing: Firing | None = None,
    ) -> None:
        super().__init__(stateful)
        if not is_number(alpha) or not math.isfinite(alpha):
            raise ValueError(f"alpha: expected a finite number, found {alpha!r}")
        rest = (v_threshold, v_reset, surrogate, detach_reset)
        self.firing = layer_firing("MLIF", firing, tau, decay, *rest)
        make: type = Parameter if learn_alpha else Buffer
        self.alpha_a, self.alpha_v = (make(np.array(alpha, np.float32)) for _ in "av")

    def forward(self, o_a: Tensor, o_v: Tensor, w_a: Tensor | None = None, w_v: Tensor | None = None) -> Any:
        alphas = (Tensor(x.data) if isinstance(x, Buffer) else x for x in (self.alpha_a, self.alpha_v))
        return self.run(F.MLIF(firing=self.firing), (o_a, o_v, *alphas, w_a, w_v), spikes=2)


NEURONS: dict[str, Callable[..., Neuron]] = {"lif": LIF, "if": IF, "plif": PLIF, "clif": CLIF}
"""Neurons by the names that configurations use, each made by `NEURONS[name](firing=Firing(...), stateful=False)`."""
