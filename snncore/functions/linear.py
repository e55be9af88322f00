"""Fully connected layer."""

from typing import Any

from snncore.backend import Array
from snncore.functions.checks import check_float, check_shape
from snncore.functions.summing import summing
from snncore.kernels.reference.linear import rows_of
from snncore.opcount.cost import OpCount
from snncore.opcount.spared import zeros_of_linear
from snncore.opcount.weights import weights_backward, weights_cost
from snncore.tape import Function


class Linear(Function):
    """Multiply the last axis by a matrix.

        y = x @ w + b;  gx = gy @ w^T;  gw = x^T gy;  gb = sum of gy

    x: [..., Ci], uint8 spikes (accumulated where they are few) or float. w: float [Ci, Co]. b: [Co] or None.
    Returns y [..., Co], type of w. Kept for backward: x (uint8 if spikes) and w.
    Raises ValueError if the last axis of x is not Ci or b is not [Co]; TypeError if w is not float.
    """

    looks = True

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        if x.ndim == 0 or w.ndim != 2 or x.shape[-1] != w.shape[0]:
            raise ValueError(
                f"Linear: expected x [..., Ci] and w [Ci, Co] with the same Ci, found {x.shape}, {w.shape}"
            )
        check_float("Linear", w=w)
        check_shape("Linear", w.shape[1:], b=b)
        self.save(x, w)
        y = summing(self.kernels, "linear_forward", x, w)(x, w)
        return y if b is None else y + b

    def backward(self, gy: Array) -> Any:
        x, w = self.saved
        gx = self.kernels.linear_forward(gy, w.T) if self.needs[0] else None
        gw = self.kernels.linear_backward_weight(x, gy) if self.needs[1] else None
        gb = rows_of(gy).sum(axis=0) if self.needs[2] else None
        return gx, gw, gb

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count, for each entry, Co outputs."""
        x, w, b = inputs
        return weights_cost("Linear", x, outputs[0], w, b, w.shape[1], zeros=zeros_of_linear(w))

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return weights_backward(self.needs, self.cost(inputs, outputs), outputs[0])
