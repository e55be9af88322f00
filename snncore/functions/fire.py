"""The step function with a surrogate gradient, for neurons that are built from smaller operations."""

import math

from snncore.backend import Array
from snncore.functions.checks import check_float
from snncore.opcount.cost import Facts, OpCount, exact_sum, lead_of
from snncore.opcount.events import entries, events
from snncore.surrogate import Sigmoid, Surrogate, check_surrogate, fire
from snncore.tape import Function


class Fire(Function):
    """s = x >= 0, with the surrogate in place of its derivative: gx = gs * surrogate.derivative(x).

    x: float, any shape: membrane minus threshold. Returns s: uint8, same shape (float in relaxed mode).
    Raises TypeError for a surrogate that is none, and if x is not float.
    """

    spiking = True

    def __init__(self, surrogate: Surrogate | None = None) -> None:
        self.surrogate = surrogate or Sigmoid()
        check_surrogate(self.surrogate)

    def forward(self, x: Array) -> Array:
        check_float(self.name, x=x)
        self.save(x)
        return fire(x, self.surrogate)

    def backward(self, gs: Array) -> Array:
        (x,) = self.saved
        return gs * self.surrogate.derivative(x)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        lead = lead_of(outputs[0].shape)
        spikes = events(outputs[0], lead).all
        per = entries(outputs[0].shape, lead)
        facts = Facts(
            "neuron",
            "Fire",
            in_size=per * math.prod(lead),
            out_size=outputs[0].size,
            cells=math.prod(lead),
            events=exact_sum(spikes, lead),
            leak=False,  # it has no membrane
        )
        return OpCount(lead, facts=(facts,), compare=per, spikes=spikes, places=per)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        size = outputs[0].size
        return OpCount(back_special=size, back_mul=size)
