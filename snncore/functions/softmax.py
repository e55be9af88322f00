"""Softmax along an axis."""

from snncore.backend import Array, array_module
from snncore.functions.checks import as_float, one_axis
from snncore.opcount.cost import OpCount, lead_of
from snncore.opcount.events import entries
from snncore.tape import Function


class Softmax(Function):
    """y = exp(x) / sum of exp(x) over `axis`; gx = y * (gy - sum of gy * y). Spikes become float32."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = one_axis("Softmax", axis)

    def forward(self, x: Array) -> Array:
        x = as_float(x, x)
        if not x.size and -x.ndim <= self.axis < x.ndim and not x.shape[self.axis]:
            raise ValueError(f"Softmax: expected at least one entry along axis {self.axis}, found x {x.shape}")
        e = array_module(x).exp(x - x.max(axis=self.axis, keepdims=True))
        y = e / e.sum(axis=self.axis, keepdims=True)
        self.save(y)
        return y

    def backward(self, gy: Array) -> Array:
        (y,) = self.saved
        return y * (gy - (gy * y).sum(axis=self.axis, keepdims=True))

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count, for each row of n: n - 1 comparisons, n subtractions, n exponentials, n - 1 additions, n divisions."""
        y = outputs[0]
        lead = lead_of(y.shape)
        lead = lead if self.axis % y.ndim >= len(lead) else ()
        per = entries(y.shape, lead)
        rows = per // max(1, y.shape[self.axis])
        return OpCount(lead, elem_compare=per - rows, elem_add=2 * per - rows, special=per, elem_div=per)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        y = outputs[0]
        rows = y.size // max(1, y.shape[self.axis])
        return OpCount(back_mul=2 * y.size, back_add=2 * y.size - rows)
