"""Leaky integrate-and-fire neuron over T timesteps (Eqs. 1 and 2 of the paper)."""

from typing import Any

from snncore.backend import Array
from snncore.functions.checks import check_currents, check_threshold
from snncore.functions.neuron_cost import neuron_backward, neuron_cost
from snncore.opcount.cost import OpCount
from snncore.surrogate import Sigmoid, Surrogate
from snncore.tape import Function


class LIF(Function):
    """Integrate current on a leaky membrane, fire at the threshold, reset.

        h[t] = decay * v[t-1] + c[t]                 charge; v[0] = 0 or v0
        s[t] = h[t] >= v_threshold                   fire
        v[t] = h[t] - v_threshold * s[t]             soft reset (v_reset=None)
        v[t] = h[t] * (1 - s[t]) + v_reset * s[t]    hard reset

    Going back in time, with g[t] the surrogate derivative at h[t] - v_threshold:

        gc[t] = (gs[t] + gv[t] * dv/ds) * g[t] + gv[t] * dv/dh
        gv[t-1] = decay * gc[t]                      gv[T] = 0

    where dv/ds is -v_threshold (soft) or v_reset - h[t] (hard), dv/dh is 1 or 1 - s[t].
    `detach_reset=True` drops the term with dv/ds. decay = 1 - 1 / tau; decay 1 is the IF neuron.

    c: float [T, ...], in units of the threshold. v0: membrane left by an earlier call, [...], or None.
    Returns s: uint8, shape of c; with `return_state=True` (s, v[T]).
    Raises TypeError if c is not float, ValueError if v0 has another shape or the threshold is not positive.
    Kept for backward: c and s, which the next layer holds as well; h is recomputed, which costs less than storing it.
    """

    spiking = True

    def __init__(
        self,
        decay: float = 0.5,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        return_state: bool = False,
    ) -> None:
        check_threshold(self.name, v_threshold)
        self.decay, self.v_threshold, self.v_reset = decay, v_threshold, v_reset
        self.surrogate = surrogate or Sigmoid()
        self.detach_reset, self.return_state = detach_reset, return_state

    def forward(self, c: Array, v0: Array | None = None) -> Any:
        check_currents("LIF", c, v0=v0)
        s, v = self.kernels.lif_forward(c, v0, self.decay, self.v_threshold, self.v_reset, self.surrogate)
        self.save(c, s, v0)
        return (s, v) if self.return_state else s

    def backward(self, gs: Array, gv: Array | None = None) -> Any:
        c, s, v0 = self.saved
        gc, gv0, _ = self.kernels.lif_backward(
            gs, gv, c, s, v0, self.decay, self.v_threshold, self.v_reset, self.surrogate, self.detach_reset
        )
        return gc, gv0

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        c, v0 = inputs
        return neuron_cost(self.name, c, outputs[0], v0 is not None, self.decay, self.v_reset)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        c, v0 = inputs
        return neuron_backward(c, outputs[0], v0 is not None, self.decay, self.v_reset, self.detach_reset)
