"""What a neuron states of a call, so that its membranes can be computed again: what came in, and how a step goes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from snncore.backend import Array, array_module
from snncore.context import changed, context
from snncore.firing import Firing
from snncore.kernels.reference import lif_forward
from snncore.kernels.reference.membrane import reset

__all__ = ["Membranes", "Trace", "lif_trace"]


class Membranes(NamedTuple):
    """Current c, charge h and membrane v after the reset, each [T, ...], and the spikes that they fire."""

    current: Array
    charge: Array
    membrane: Array
    fired: Array


@dataclass(frozen=True)
class Trace:
    """A spike train s [T, ...] with the recursion that made it.

        c = current(x);   h[t] = decay * v[t-1] + c[t];   s[t], v[t] = step(c[t], v[t-1])

    x: what came in, [T, ...]; `current` makes c of it, and holds copies of the parameters that it needs. state: the
    membranes at the start, v first, None at rest. step: the neuron of `snncore.kernels.reference` for one timestep,
    step(c [1, ...], *state) -> (s [1, ...], *state). None where something else decides what fires: the membrane is then
    reset where s fired. margin: makes of h what must be at least 0 to fire, None if h alone does not tell.
    scale: what h is multiplied by before it is compared with v_threshold, one entry, which stays on its device; None if
    it is not compared itself. relaxed: whether s is what relaxed neurons emit.
    """

    spikes: Array
    x: Array
    firing: Firing
    step: Callable[..., Any] | None
    state: tuple[Array | None, ...] = (None,)
    current: Callable[[Array], Array] = lambda x: x
    margin: Callable[[Array], Array] | None = None
    scale: Array | float | None = None
    relaxed: bool = field(default_factory=lambda: context.relaxed)

    @property
    def threshold(self) -> float | None:
        """What h must reach to fire; None if that is no number."""
        scale = 0.0 if self.scale is None else float(self.scale)
        return self.firing.v_threshold / scale if scale > 0 else None

    def first(self, timesteps: int | None, samples: int | None) -> "Trace":
        """Return the trace of the first timesteps and samples (second axis), in arrays of its own; None: of all."""
        part = (slice(timesteps), slice(samples))
        state = tuple(None if v is None else v[part[1:] if v.ndim else ()].copy() for v in self.state)
        spikes, x = (y[part[: y.ndim]].copy() for y in (self.spikes, self.x))
        return replace(self, spikes=spikes, x=x, state=state)

    def membranes(self) -> Membranes:
        """Compute them again, one timestep after the other, as the reference does."""
        c = self.current(self.x)
        xp = array_module(c)
        h, v, s = xp.empty_like(c), xp.empty_like(c), xp.empty_like(self.spikes)
        state: Any = self.state
        with changed("relaxed", self.relaxed):
            for t in range(len(c)):
                h[t] = c[t] if state[0] is None else self.firing.decay * state[0] + c[t]
                if self.step is None:
                    s[t], state = self.spikes[t], (reset(h[t], self.spikes[t], self.firing),)
                else:
                    one, *state = self.step(c[t : t + 1], *state)
                    s[t] = one[0]
                v[t] = state[0]
        return Membranes(c, h, v, s)


def lif_trace(
    s: Array, x: Array, firing: Firing, v0: Array | None = None, current: Callable[[Array], Array] = lambda x: x
) -> Trace:
    """Return the trace of a LIF on the currents that `current` makes of x."""
    return Trace(
        s,
        x,
        firing,
        lambda c, v: lif_forward(c, v, firing),
        (v0,),
        current,
        lambda h: h - firing.v_threshold,
        1.0,
    )
