"""Layer normalisation over the last axis."""

import math
from typing import Any

from snncore.backend import Array
from snncore.functions.checks import check_float, check_shape
from snncore.opcount.cost import Facts, OpCount, lead_of
from snncore.opcount.events import entries
from snncore.tape import Function


class LayerNorm(Function):
    """Give each row along the last axis zero mean and unit variance, then scale and shift it.

        z = (x - mean) / sqrt(var + eps);  y = gamma z + beta

    mean and (biased) variance are those of the row of n entries, in training and in evaluation alike. Going back:

        gbeta = sum gy;  ggamma = sum gy z;  gz = gamma gy;  gx = (gz - mean gz - z mean(gz z)) / sqrt(var + eps)

    x: float [..., C]. gamma, beta: float [C]. Returns y: as x. Kept for backward: z, one number a row, and gamma.
    Raises TypeError if one is not floating point, ValueError if the channels differ. Source: Ba et al. 2016.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        self.eps = eps

    def forward(self, x: Array, gamma: Array, beta: Array) -> Array:
        check_float(self.name, x=x, gamma=gamma, beta=beta)
        if x.ndim == 0 or x.shape[-1] == 0:
            raise ValueError(f"{self.name}: expected x [..., C], found {x.shape}")
        check_shape(self.name, x.shape[-1:], gamma=gamma, beta=beta)
        centred = x - x.mean(axis=-1, keepdims=True)
        inv_std = 1 / ((centred * centred).mean(axis=-1, keepdims=True) + self.eps) ** 0.5  # [..., 1]
        z = centred * inv_std
        self.save(z, inv_std, gamma)
        return z * gamma + beta

    def backward(self, gy: Array) -> Any:
        z, inv_std, gamma = self.saved
        rows = tuple(range(gy.ndim - 1))
        gz = gy * gamma
        gx = (gz - gz.mean(axis=-1, keepdims=True) - z * (gz * z).mean(axis=-1, keepdims=True)) * inv_std
        return gx, (gy * z).sum(axis=rows), gy.sum(axis=rows)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Operations of a row of n.

        The mean: n - 1 additions, a scaling. n subtractions of it. The variance: n products, n - 1 additions, a
        scaling. 1 / sqrt(var + eps): an addition, a root, a division. Then n products each by it and by gamma, and n
        additions of beta. Its facts are of a kind of its own, which no rule of others reads: they name it in a note.
        """
        x = inputs[0]
        n = x.shape[-1]
        lead = lead_of(x.shape)
        rows = entries(x.shape, lead) // n
        facts = Facts("layer_norm", self.name, x.size, x.size, math.prod(lead), channels=(n, n))
        return OpCount(
            lead, None, (facts,), elem_add=rows * (4 * n - 1), elem_mul=rows * (3 * n + 2), special=rows, elem_div=rows
        )

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Operations of a row of n, for the gradients that are wanted.

        gx: products with gamma, with z, of z with a mean, with 1 / sqrt, and two scalings; two sums of n - 1 additions
        and two subtractions an entry. ggamma: a product and an addition an entry. gbeta: an addition an entry. The
        first row is added to nothing.
        """
        x = inputs[0]
        n, rows = x.shape[-1], x.size // x.shape[-1]
        wants_x, wants_gamma, wants_beta = self.needs
        muls = rows * (4 * n + 2) * wants_x + x.size * wants_gamma
        sums = max(0, rows - 1) * n
        adds = rows * (2 * (n - 1) + 2 * n) * wants_x + sums * (wants_gamma + wants_beta)
        return OpCount(back_mul=muls, back_add=adds)
