"""Neuron layers: hold the settings, the learnable constants and, only if asked, the membrane between calls."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from snncore import functions as F
from snncore.context import changed, context
from snncore.nn.layers import BatchNorm
from snncore.nn.module import Buffer, Module, Parameter
from snncore.surrogate import Surrogate
from snncore.tape import Tensor

__all__ = ["CLIF", "IF", "LIF", "MLIF", "PLIF", "Neuron", "WithAlpha", "decay_of", "unfused"]


@contextmanager
def unfused() -> Iterator[None]:
    """Run BatchNorm and the neuron after it as two operations in the block, to look at what passes between them."""
    with changed("fused", False):
        yield


def decay_of(tau: float | None, decay: float | None) -> float:
    """Return the factor that a membrane keeps from one step to the next: `decay`, or 1 - 1 / tau.

    Raises ValueError unless tau > 1 or decay is in [0, 1). The paper prints tau = 0.2 for (1 - 1 / tau), which is
    -4: a membrane with that factor diverges. Its authors' earlier public code has tau = 2.
    """
    if (tau is None) == (decay is None):
        raise ValueError(f"tau, decay: expected one of the two, found tau={tau}, decay={decay}")
    if decay is not None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number in [0, 1), found {decay}")
        return float(decay)
    if tau is None or not tau > 1:
        raise ValueError(
            f"tau: expected a number above 1, found {tau}: the membrane keeps 1 - 1 / tau of itself each step, which "
            "is negative below 1 (tau = 0.2, as the paper prints it, gives -4 and diverges)"
        )
    if not 1 - 1 / tau < 1:
        raise ValueError(f"tau: expected a number that leaves some leak, found {tau}; a neuron without leak is IF")
    return 1 - 1 / tau


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
        trains = inputs[:spikes]  # each with its membranes, of the shape of one timestep
        for x, v in zip(trains * 2, self.membrane or (), strict=False):
            if v.shape != x.shape[1:]:
                raise ValueError(
                    f"{type(self).__name__}: the membrane kept from the last call has shape {v.shape}, this call "
                    f"needs {x.shape[1:]}; call reset() between sequences"
                )
        outputs = function(*inputs, *(self.membrane or ()))
        self.membrane = tuple(v.data for v in outputs[spikes:])
        return outputs[:spikes] if spikes > 1 else outputs[0]


class LIF(Neuron):
    """Leaky integrate-and-fire layer; see `functions.LIF`. Give `tau` (default 2.0) or `decay`."""

    def __init__(
        self,
        tau: float | None = None,
        decay: float | None = None,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        stateful: bool = False,
    ) -> None:
        super().__init__(stateful)
        self.decay = decay_of(2.0 if tau is None and decay is None else tau, decay)
        self.settings = (v_threshold, v_reset, surrogate, detach_reset)

    def forward(self, c: Tensor, norm: BatchNorm | None = None) -> Tensor:
        if norm is None or self.stateful or not context.fused:
            return self.run(F.LIF(self.decay, *self.settings), (c if norm is None else norm(c),))
        settings = (*norm.settings(), self.decay, *self.settings)
        return F.BatchNormLIF(*settings)(c, norm.weight, norm.bias)


class IF(LIF):
    """Integrate-and-fire layer: a LIF that does not leak (decay 1)."""

    def __init__(
        self,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        stateful: bool = False,
    ) -> None:
        super().__init__(2.0, None, v_threshold, v_reset, surrogate, detach_reset, stateful)
        self.decay = 1.0


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
    ) -> None:
        super().__init__(tau, None, v_threshold, v_reset, surrogate, detach_reset, stateful)
        self.w = Parameter(np.array(-math.log(tau - 1), np.float32))  # sigmoid(w) = 1 / tau

    def forward(self, c: Tensor, norm: BatchNorm | None = None) -> Tensor:
        return self.run(F.PLIF(self.decay, *self.settings), (c if norm is None else norm(c), self.w))


class CLIF(Neuron):
    """Complementary LIF layer; see `functions.CLIF`."""

    def __init__(
        self,
        tau: float = 2.0,
        v_threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        stateful: bool = False,
    ) -> None:
        super().__init__(stateful)
        self.settings = (tau, v_threshold, surrogate, detach_reset)

    def forward(self, c: Tensor, norm: BatchNorm | None = None) -> Tensor:
        return self.run(F.CLIF(*self.settings), (c if norm is None else norm(c),))


class WithAlpha(Module):
    """Holds alpha_a and alpha_v of Eq. 7, one number each: parameters, or buffers if they are not learned."""

    def __init__(self, alpha: float, learn_alpha: bool) -> None:
        make: type = Parameter if learn_alpha else Buffer
        self.alpha_a = make(np.array(alpha, np.float32))
        self.alpha_v = make(np.array(alpha, np.float32))

    def alphas(self) -> tuple[Tensor, Tensor]:
        """Return both as tensors."""
        a, v = (Tensor(x.data) if isinstance(x, Buffer) else x for x in (self.alpha_a, self.alpha_v))
        return a, v


class MLIF(Neuron, WithAlpha):
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
    ) -> None:
        Neuron.__init__(self, stateful)
        WithAlpha.__init__(self, alpha, learn_alpha)
        self.decay = decay_of(2.0 if tau is None and decay is None else tau, decay)
        self.settings = (v_threshold, v_reset, surrogate, detach_reset)

    def forward(self, o_a: Tensor, o_v: Tensor, w_a: Tensor | None = None, w_v: Tensor | None = None) -> Any:
        return self.run(F.MLIF(self.decay, *self.settings), (o_a, o_v, *self.alphas(), w_a, w_v), spikes=2)
