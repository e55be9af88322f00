"""Matrix products and softmax, as attention needs them."""

from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.arithmetic_cost import softmax_cost
from snncore.functions.matmul_cost import matmul_backward, matmul_cost
from snncore.opcount.cost import OpCount
from snncore.tape import Function


def _as_float(x: Array, beside: Array) -> Array:
    return x if x.dtype.kind == "f" else x.astype(beside.dtype if beside.dtype.kind == "f" else np.float32)


class MatMul(Function):
    """y = a @ b over the last two axes, the others broadcast; ga = gy @ b^T, gb = a^T @ gy.

    Spikes become the float type of the other array, or float32. Raises ValueError for shapes that do not fit.
    """

    def forward(self, a: Array, b: Array) -> Array:
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"MatMul: expected [..., n, k] and [..., k, m], found {a.shape} and {b.shape}")
        a, b = _as_float(a, b), _as_float(b, a)
        self.save(a, b)
        return a @ b

    def backward(self, gy: Array) -> Any:
        a, b = self.saved
        sum_to = self.kernels.sum_to
        return sum_to(gy @ b.swapaxes(-1, -2), a.shape), sum_to(a.swapaxes(-1, -2) @ gy, b.shape)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        a, b = inputs
        return matmul_cost(a, b, outputs[0])

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        a, b = inputs
        return matmul_backward(a, b, outputs[0], self.needs)


class Softmax(Function):
    """y = exp(x) / sum of exp(x) over `axis`; gx = y * (gy - sum of gy * y). Spikes become float32."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        x = _as_float(x, x)
        e = array_module(x).exp(x - x.max(axis=self.axis, keepdims=True))
        y = e / e.sum(axis=self.axis, keepdims=True)
        self.save(y)
        return y

    def backward(self, gy: Array) -> Array:
        (y,) = self.saved
        return y * (gy - (gy * y).sum(axis=self.axis, keepdims=True))

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return softmax_cost(outputs[0], self.axis)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        y = outputs[0]
        rows = y.size // max(1, y.shape[self.axis])
        return OpCount(back_mul=2 * y.size, back_add=2 * y.size - rows)
