"""Multimodal leaky integrate-and-fire neuron with concat fusion (Eqs. 5 to 11 of the paper)."""

from typing import Any

from snncore.backend import Array
from snncore.functions.checks import check_shape, check_threshold
from snncore.functions.mlif_cost import mlif_backward_cost, mlif_cost
from snncore.opcount.cost import OpCount
from snncore.surrogate import Sigmoid, Surrogate
from snncore.tape import Function


class MLIF(Function):
    """Charge a membrane per modality, fuse them by concatenation, fire together, reset each by its own spikes.

        c_m[t] = o_m[t] * w_m                           postsynaptic current        (Eq. 5)
        u_m[t] = decay * u_m[t-1] + c_m[t]              multimodal charge           (Eq. 6)
        u[t]   = [alpha_v u_v[t]; alpha_a u_a[t]]       multimodal fusion, concat   (Eq. 7)
        s[t]   = u[t] >= v_threshold                    multimodal fire             (Eq. 8)
        s_v[t], s_a[t] = split(s[t])                                                (Eq. 9)
        u_m[t] = u_m[t] - v_threshold * s_m[t]          multimodal reset            (Eq. 10)

    Concatenation couples nothing: modality m is exactly a LIF neuron with threshold v_threshold / alpha_m that
    resets by v_threshold (a test holds this). Each is therefore computed by itself, without building u[t].
    `v_reset` other than None makes the reset a hard one, u_m = v_reset where s_m = 1.
    Backward as written in `kernels.reference.mlif`.

    o_a, o_v: [T, N, H, W, C], uint8 spikes or float. alpha_a, alpha_v: float, one entry each.
    w_a, w_v: float, [H, W, 1], [C] or None for none (all ones). u_a, u_v: membranes left by an earlier call, or None.
    Returns (s_a, s_v): uint8, shape of o; with `return_state=True` (s_a, s_v, u_a[T], u_v[T]).
    Kept for backward: o_m (uint8 if spikes), s_m, w_m, alpha_m; the membranes are recomputed.
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
        check_threshold("MLIF", v_threshold)
        self.settings = (decay, v_threshold, v_reset, surrogate or Sigmoid())
        self.detach_reset, self.return_state = detach_reset, return_state

    def forward(
        self,
        o_a: Array,
        o_v: Array,
        alpha_a: Array,
        alpha_v: Array,
        w_a: Array | None = None,
        w_v: Array | None = None,
        u_a: Array | None = None,
        u_v: Array | None = None,
    ) -> Any:
        check_shape("MLIF", o_a.shape[1:], u_a=u_a)
        check_shape("MLIF", o_v.shape[1:], u_v=u_v)
        self.alpha_shapes = alpha_a.shape, alpha_v.shape
        alpha_a, alpha_v = alpha_a.reshape(()), alpha_v.reshape(())
        s_a, after_a = self.kernels.mlif_forward(o_a, w_a, alpha_a, u_a, *self.settings)
        s_v, after_v = self.kernels.mlif_forward(o_v, w_v, alpha_v, u_v, *self.settings)
        self.save(o_a, o_v, s_a, s_v, alpha_a, alpha_v, w_a, w_v, u_a, u_v)
        return (s_a, s_v, after_a, after_v) if self.return_state else (s_a, s_v)

    def backward(self, gs_a: Array, gs_v: Array, gu_a: Array | None = None, gu_v: Array | None = None) -> Any:
        o_a, o_v, s_a, s_v, alpha_a, alpha_v, w_a, w_v, u_a, u_v = self.saved
        backward, settings = self.kernels.mlif_backward, (*self.settings, self.detach_reset)
        go_a, gw_a, galpha_a, gu_a = backward(gs_a, gu_a, o_a, s_a, w_a, alpha_a, u_a, *settings)
        go_v, gw_v, galpha_v, gu_v = backward(gs_v, gu_v, o_v, s_v, w_v, alpha_v, u_v, *settings)
        galpha_a, galpha_v = galpha_a.reshape(self.alpha_shapes[0]), galpha_v.reshape(self.alpha_shapes[1])
        return go_a, go_v, galpha_a, galpha_v, gw_a, gw_v, gu_a, gu_v

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        o_a, o_v, alpha_a, alpha_v, w_a, w_v, u_a, u_v = inputs
        decay, _, v_reset, _ = self.settings
        cost = mlif_cost(o_a, outputs[0], alpha_a, w_a, u_a is not None, decay, v_reset)
        return cost + mlif_cost(o_v, outputs[1], alpha_v, w_v, u_v is not None, decay, v_reset)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        o_a, o_v, _, _, w_a, w_v, u_a, u_v = inputs
        decay, _, v_reset, _ = self.settings
        rest = (decay, v_reset, self.detach_reset)
        cost = mlif_backward_cost(o_a, outputs[0], w_a is not None, u_a is not None, *rest)
        return cost + mlif_backward_cost(o_v, outputs[1], w_v is not None, u_v is not None, *rest)
