"""The settings of a spiking neuron, made once in a layer and passed whole to functions and kernels."""

import math
from dataclasses import dataclass, field

from snncore.given import is_number
from snncore.surrogate import Sigmoid, Surrogate, check_surrogate

__all__ = ["Firing", "decay_of", "firing_of"]


@dataclass(frozen=True)
class Firing:
    """How a membrane leaks, fires and resets.

        h[t] = decay * v[t-1] + c[t]                 leak and charge
        s[t] = h[t] >= v_threshold                   fire; backward takes the derivative of `surrogate` for the step's
        v[t] = h[t] - v_threshold * s[t]             soft reset (v_reset=None)
        v[t] = h[t] * (1 - s[t]) + v_reset * s[t]    hard reset

    decay: in [0, 1], 1 - 1 / tau; 1 is a neuron without leak. detach_reset: backward takes the s[t] of the reset as a
    constant. Raises ValueError for a number out of range, TypeError for a surrogate that is none.
    """

    decay: float = 0.5
    v_threshold: float = 1.0
    v_reset: float | None = None
    surrogate: Surrogate = field(default_factory=Sigmoid)
    detach_reset: bool = False

    def __post_init__(self) -> None:
        if not is_number(self.decay) or not 0 <= self.decay <= 1:
            raise ValueError(f"decay: expected a number in [0, 1], found {self.decay!r}")
        if not is_number(self.v_threshold) or not self.v_threshold > 0:
            raise ValueError(f"v_threshold: expected a positive number, found {self.v_threshold!r}")
        if self.v_reset is not None and not (is_number(self.v_reset) and math.isfinite(self.v_reset)):
            raise ValueError(f"v_reset: expected a finite number, or None for a soft reset, found {self.v_reset!r}")
        check_surrogate(self.surrogate)


def firing_of(
    owner: str,
    firing: Firing | None,
    decay: float = 0.5,
    v_threshold: float = 1.0,
    v_reset: float | None = None,
    surrogate: Surrogate | None = None,
    detach_reset: bool = False,
) -> Firing:
    """Return `firing` if it is given, or else that of the settings one by one; raises TypeError for both at once."""
    one_by_one = Firing(decay, v_threshold, v_reset, surrogate or Sigmoid(), detach_reset)
    if firing is None:
        return one_by_one
    if one_by_one != Firing():
        raise TypeError(f"{owner}: expected firing or its settings one by one, found both: {firing} and {one_by_one}")
    return firing


def decay_of(tau: float | None, decay: float | None) -> float:
    """Return the factor that a membrane keeps from one step to the next: `decay`, or 1 - 1 / tau.

    Raises ValueError unless tau > 1 or decay is in [0, 1). The paper prints tau = 0.2 for (1 - 1 / tau), which is
    -4: a membrane with that factor diverges. Its authors' earlier public code has tau = 2.
    """
    if (tau is None) == (decay is None):
        raise ValueError(f"tau, decay: expected one of the two, found tau={tau}, decay={decay}")
    if decay is not None:
        if not is_number(decay) or not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number in [0, 1), found {decay!r}")
        return float(decay)
    if tau is None or not is_number(tau) or not tau > 1:
        raise ValueError(
            f"tau: expected a number above 1, found {tau!r}: the membrane keeps 1 - 1 / tau of itself each step, which "
            "is negative below 1 (tau = 0.2, as the paper prints it, gives -4 and diverges)"
        )
    if not 1 - 1 / tau < 1:
        raise ValueError(f"tau: expected a number that leaves some leak, found {tau}; a neuron without leak is IF")
    return 1 - 1 / tau
