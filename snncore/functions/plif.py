"""Parametric LIF: a LIF neuron that learns its time constant."""

from dataclasses import replace
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.firing import Firing
from snncore.functions.checks import check_currents, check_one
from snncore.functions.lif import LIF, neuron_cost
from snncore.functions.trace import Trace, lif_trace
from snncore.kernels.reference.membrane import sigmoid
from snncore.opcount.cost import OpCount


class PLIF(LIF):
    """LIF with 1 / tau = sigmoid(w), w learnable, so that decay = 1 - sigmoid(w) stays in (0, 1).

        gw = -sigmoid(w) * (1 - sigmoid(w)) * gdecay,   gdecay = sum over t of gc[t] * v[t-1]

    c: float [T, ...]. w: float, one entry. v0 as in LIF. Returns as LIF. A decay among the settings is not used.
    Raises what LIF raises; TypeError if w is not float, ValueError if it has not one entry.
    Source: Fang et al., Incorporating Learnable Membrane Time Constant, ICCV 2021.
    """

    def forward(self, c: Array, w: Array, v0: Array | None = None) -> Any:  # type: ignore[override]
        check_currents(self.name, c, v0=v0)
        check_one(self.name, w=w)
        self.decay = 1.0 - sigmoid(w.astype(np.float64))
        if not self._stays_there():
            self.decay = self.decay.item()
            self.firing = replace(self.firing, decay=self.decay)  # of this call only
        s, v = self.kernels.lif_forward(c, v0, self.firing, **self._stays_there())
        self.save(c, s, w, v0)
        return (s, v) if self.return_state else s

    def backward(self, gs: Array, gv: Array | None = None) -> Any:
        c, s, w, v0 = self.saved
        gc, gv0, gdecay = self.kernels.lif_backward(gs, gv, c, s, v0, self.firing, **self._stays_there())
        gw = -self.decay * (1 - self.decay) * gdecay
        return gc, gw.reshape(w.shape).astype(w.dtype), gv0

    def _stays_there(self) -> dict[str, Any]:
        """Arguments for kernels that read the decay on the device, so that the host need not wait for it."""
        return {"decay": self.decay} if getattr(self.kernels, "DECAY_THERE", False) else {}

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        c, _, v0 = inputs
        once = OpCount(neuron_special=1, neuron_add=1)  # decay = 1 - sigmoid(w)
        return neuron_cost(self.name, c, outputs[0], v0 is not None, self._learned()) + once

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        c, _, v0 = inputs
        decay = OpCount(back_mul=c.size + 2, back_add=c.size)  # gdecay += gc * v, and its way to w
        return super().cost_backward((c, v0), outputs) + decay

    def traces(self, inputs: tuple, outputs: tuple) -> tuple[Trace, ...]:
        c, _, v0 = inputs
        return (lif_trace(outputs[0], c, self._learned(), v0),)

    def _learned(self) -> Firing:
        """The settings with the decay of this call; one that stayed on the device is not among them."""
        decay = getattr(self, "decay", self.firing.decay)
        return replace(self.firing, decay=decay if isinstance(decay, float) else float(decay.item()))
