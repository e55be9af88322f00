"""Complementary leaky integrate-and-fire neuron."""

from dataclasses import replace
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.firing import Firing, firing_of
from snncore.functions.checks import check_currents
from snncore.functions.lif import charged_entries, neuron_backward, neuron_cost, neuron_lead
from snncore.functions.trace import Trace, lif_trace
from snncore.given import is_number
from snncore.kernels.reference import clif_forward
from snncore.opcount.cost import OpCount, Value, times
from snncore.opcount.events import entries, events
from snncore.surrogate import Surrogate
from snncore.tape import Function


class CLIF(Function):
    """A LIF neuron whose reset is deepened by a second, slow potential m that remembers recent spikes.

        h[t] = decay * v[t-1] + c[t]                               charge; v[0] = m[0] = 0 or v0, m0
        s[t] = h[t] >= v_threshold                                 fire
        m[t] = m[t-1] * sigmoid(h[t] / tau) + s[t]                 complementary potential
        v[t] = h[t] - s[t] * (v_threshold + sigmoid(m[t]))         reset

    with decay = 1 - 1 / tau. Going back in time, with g[t] the surrogate derivative at h[t] - v_threshold,
    a[t] = sigmoid(h[t] / tau) and r[t] = sigmoid(m[t]):

        gm[t] = gm[t] - gv[t] * s[t] * r[t] * (1 - r[t])           gv[T] = gm[T] = 0
        gtotal[t] = gs[t] + gm[t] - gv[t] * (v_threshold + r[t])
        gc[t] = gtotal[t] * g[t] + gv[t] + gm[t] * m[t-1] * a[t] * (1 - a[t]) / tau
        gv[t-1] = decay * gc[t];   gm[t-1] = gm[t] * a[t]

    `detach_reset=True` drops the last term of gtotal: the gradient through the s[t] of the reset, not the one of m.

    Settings one by one, or `firing=Firing(...)` with all of them; its decay says 1 / tau.
    c: float [T, ...]. v0, m0: state left by an earlier call, or None. Returns s: uint8; with
    `return_state=True` (s, v[T], m[T]). Kept for backward: c and s.
    Source: Huang et al., CLIF: Complementary Leaky Integrate-and-Fire Neuron, ICML 2024.
    Raises ValueError if tau < 1, a setting is out of range, the reset is a hard one or a state has another shape,
    TypeError if c is not float.
    """

    spiking = True

    def __init__(
        self,
        tau: float = 2.0,
        v_threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        return_state: bool = False,
        *,
        firing: Firing | None = None,
    ) -> None:
        if not is_number(tau) or not tau >= 1:
            raise ValueError(f"CLIF: tau must be at least 1, found {tau!r}")
        self.firing = firing_of(self.name, firing, 1 - 1 / tau, v_threshold, None, surrogate, detach_reset)
        if self.firing.v_reset is not None:
            raise ValueError(f"CLIF: expected a soft reset, v_reset None, found {self.firing.v_reset}")
        self.return_state = return_state

    def forward(self, c: Array, v0: Array | None = None, m0: Array | None = None) -> Any:
        check_currents(self.name, c, v0=v0, m0=m0)
        out = self.kernels.clif_forward(c, v0, m0, self.firing)
        self.save(c, out[0], v0, m0)
        return out if self.return_state else out[0]

    def backward(self, gs: Array, gv: Array | None = None, gm: Array | None = None) -> Any:
        c, s, v0, m0 = self.saved
        return self.kernels.clif_backward(gs, gv, gm, c, s, v0, m0, self.firing)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Cost of a soft-reset neuron, and of its second membrane m.

        Each entry that finds an m: h / tau (by 1 / tau), its sigmoid, the product with m. Each spike: +1 to m where
        there is one (else m is set), the sigmoid of m, and v_threshold + sigmoid(m), which the reset subtracts.
        """
        (c, v0, m0), s = inputs, outputs[0]
        lead = neuron_lead(c.shape)
        with_m = charged_entries(c.shape, m0 is not None)
        spikes = events(s, lead).all
        if m0 is not None:
            added: Value = spikes
        elif lead == ():
            added = spikes - events(s[0], ()).all
        else:
            added = np.array(spikes)
            added[0] = 0
        size = c.dtype.itemsize
        columns: dict[str, Any] = {
            "neuron_mul": with_m + with_m,
            "neuron_special": with_m + spikes,
            "neuron_add": added + spikes,
            "state_read_bytes": times(with_m, size),
            "state_write_bytes": entries(c.shape, lead) * size,
        }
        return neuron_cost(self.name, c, s, v0 is not None, self.firing) + OpCount(lead, **columns)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Cost of BPTT as written above: both sigmoids again, and the way through m.

        Beyond a soft-reset neuron, an entry: two sigmoids; six products and three additions for gm, and two products
        and two additions for what it gives to gc; the forward of m again, a product and an addition.
        """
        c, v0, _ = inputs
        extra = OpCount(back_special=2 * c.size, back_mul=12 * c.size, back_add=8 * c.size)
        return neuron_backward(c, outputs[0], v0 is not None, self.firing) + extra

    def traces(self, inputs: tuple, outputs: tuple) -> tuple[Trace, ...]:
        (c, v0, m0), firing = inputs, self.firing
        lif = lif_trace(outputs[0], c, firing)
        return (replace(lif, state=(v0, m0), step=lambda c, v, m: clif_forward(c, v, m, firing)),)
