"""Complementary leaky integrate-and-fire neuron."""

from typing import Any

from snncore.backend import Array
from snncore.functions.checks import check_currents, check_threshold
from snncore.functions.neuron_cost import clif_backward, clif_cost
from snncore.opcount.cost import OpCount
from snncore.surrogate import Sigmoid, Surrogate
from snncore.tape import Function


class CLIF(Function):
    """A LIF neuron whose reset is deepened by a second, slow potential m that remembers recent spikes.

        h[t] = decay * v[t-1] + c[t]                               charge; v[0] = m[0] = 0 or v0, m0
        s[t] = h[t] >= v_threshold                                 fire
        m[t] = m[t-1] * sigmoid(h[t] / tau) + s[t]                 complementary potential
        v[t] = h[t] - s[t] * (v_threshold + sigmoid(m[t]))         reset

    with decay = 1 - 1 / tau. Backward as written in `kernels.reference.clif`; `detach_reset=True` cuts the gradient
    through the s[t] of the reset, not the one of m.

    c: float [T, ...]. v0, m0: state left by an earlier call, or None. Returns s: uint8; with
    `return_state=True` (s, v[T], m[T]). Kept for backward: c and s.
    Source: Huang et al., CLIF: Complementary Leaky Integrate-and-Fire Neuron, ICML 2024.
    Raises ValueError if tau < 1, the threshold is not positive or a state has another shape, TypeError if c is not
    float.
    """

    spiking = True

    def __init__(
        self,
        tau: float = 2.0,
        v_threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        return_state: bool = False,
    ) -> None:
        if not tau >= 1:
            raise ValueError(f"CLIF: tau must be at least 1, found {tau}")
        check_threshold("CLIF", v_threshold)
        self.tau, self.decay, self.v_threshold = tau, 1 - 1 / tau, v_threshold
        self.surrogate = surrogate or Sigmoid()
        self.detach_reset, self.return_state = detach_reset, return_state

    def forward(self, c: Array, v0: Array | None = None, m0: Array | None = None) -> Any:
        check_currents("CLIF", c, v0=v0, m0=m0)
        out = self.kernels.clif_forward(c, v0, m0, self.decay, self.tau, self.v_threshold, self.surrogate)
        self.save(c, out[0], v0, m0)
        return out if self.return_state else out[0]

    def backward(self, gs: Array, gv: Array | None = None, gm: Array | None = None) -> Any:
        c, s, v0, m0 = self.saved
        return self.kernels.clif_backward(
            gs, gv, gm, c, s, v0, m0, self.decay, self.tau, self.v_threshold, self.surrogate, self.detach_reset
        )

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        c, v0, m0 = inputs
        return clif_cost(c, outputs[0], v0 is not None, m0 is not None, self.decay)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        c, v0, _ = inputs
        return clif_backward(c, outputs[0], v0 is not None, self.decay, self.detach_reset)
