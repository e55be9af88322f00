"""Batch normalisation and the LIF neuron after it, in one pass over memory (Eqs. 1 to 3 of the paper)."""

from typing import Any

from snncore.backend import Array
from snncore.firing import Firing, firing_of
from snncore.functions.batch_norm import BatchNorm
from snncore.functions.checks import check_currents
from snncore.functions.keeping import finds_spikes
from snncore.functions.lif import neuron_backward, neuron_cost
from snncore.functions.trace import Trace, lif_trace
from snncore.graph import apart
from snncore.kernels.reference import batch_norm_forward
from snncore.opcount.cost import OpCount
from snncore.surrogate import Surrogate


class BatchNormLIF(BatchNorm):
    """s = LIF(BatchNorm(x)): what a layer of a spiking network does after its convolution.

        c[t] = gamma * (x[t] - mean) / sqrt(var + eps) + beta        as in BatchNorm
        s[t], v[t] = charge, fire and reset on c[t]                  as in LIF, from a resting membrane

    and back through both. The same numbers as the two functions one after the other (a test holds this); but c is
    never stored, neither for backward nor in between.

    Settings of the neuron one by one, or `firing=Firing(...)` with all of them.
    x: float [T, ..., C]. gamma, beta: [C]. running_mean, running_var: arrays [C], changed in place in training.
    Returns s: uint8, shape of x. Kept for backward: x, gamma and beta; c and the membrane are recomputed, and so is s
    by kernels that say so (`FINDS_SPIKES`); for others it is kept.
    Raises what BatchNorm and LIF raise.
    """

    looks = True

    spiking = True

    adds = True

    def __init__(
        self,
        running_mean: Array,
        running_var: Array,
        training: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
        decay: float = 0.5,
        v_threshold: float = 1.0,
        v_reset: float | None = None,
        surrogate: Surrogate | None = None,
        detach_reset: bool = False,
        *,
        firing: Firing | None = None,
    ) -> None:
        super().__init__(running_mean, running_var, training, momentum, eps)
        self.firing = firing_of(self.name, firing, decay, v_threshold, v_reset, surrogate, detach_reset)

    def forward(self, x: Array, gamma: Array, beta: Array) -> Array:
        check_currents(self.name, x)
        if x.ndim < 2:
            raise ValueError(f"{self.name}: expected x [T, ..., C] of at least two axes, found {x.shape}")
        self.choose_statistics(x, gamma, beta)
        s: Array = self.kernels.batch_norm_lif_forward(x, self.mean, self.inv_std, gamma, beta, self.firing)
        self.save(x, None if finds_spikes(self, s) else s, gamma, beta)
        return s

    def backward(self, gs: Array) -> Any:
        x, s, gamma, beta = self.saved
        norm = (self.mean, self.inv_std, gamma)
        into = self.into(2, 1)
        gs, also = apart(gs)
        gc, sums = self.kernels.batch_norm_lif_gradient_sums(gs, x, s, *norm, beta, self.firing, **into, **also)
        whole = self.all_sums(sums) if self.training else sums
        gx = self.kernels.batch_norm_lif_backward(gc, x, *norm, whole, self.count)
        return gx, *self.parameter_gradients(sums, gamma, into)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return super().cost(inputs, outputs) + neuron_cost("LIF", inputs[0], outputs[0], False, self.firing)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return super().cost_backward(inputs, outputs) + neuron_backward(inputs[0], outputs[0], False, self.firing)

    def traces(self, inputs: tuple, outputs: tuple) -> tuple[Trace, ...]:
        x, gamma, beta = inputs
        constants = self.mean, self.inv_std, gamma.copy(), beta.copy()  # training goes on changing the last two
        return (lif_trace(outputs[0], x, self.firing, None, lambda x: batch_norm_forward(x, *constants)),)
