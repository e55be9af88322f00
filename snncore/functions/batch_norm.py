"""Batch normalisation over all axes but the channels: timesteps, samples and pixels."""

from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.functions.checks import check_float, check_shape
from snncore.functions.neuron_cost import batch_norm_backward_cost, batch_norm_cost
from snncore.opcount.cost import OpCount
from snncore.tape import Function


class BatchNorm(Function):
    """Give each channel zero mean and unit variance, then scale and shift it.

        z = (x - mean) / sqrt(var + eps);  y = gamma * z + beta

    Training: mean and (biased) variance of the batch, over T, N, H and W together; the running statistics move by
    running += momentum * (batch - running), the variance there unbiased. Evaluation: the running statistics.
    Going back in training, over n entries a channel (in evaluation the two means drop out):

        gbeta = sum gy;  ggamma = sum gy z;  gx = gamma / sqrt(var + eps) * (gy - gbeta / n - z ggamma / n)

    x: float [..., C]. gamma, beta: [C]. running_mean, running_var: arrays [C], changed in place in training.
    Kept for backward: x and gamma. Source: Ioffe and Szegedy 2015; over T as in Eq. 3 of the paper.
    Raises ValueError if the channels differ, or in training if there is one entry a channel; TypeError if x is spikes.
    """

    def __init__(
        self,
        running_mean: Array,
        running_var: Array,
        training: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        self.running_mean, self.running_var = running_mean, running_var
        self.training, self.momentum, self.eps = training, momentum, eps

    def forward(self, x: Array, gamma: Array, beta: Array) -> Array:
        self.choose_statistics(x, gamma, beta)
        self.save(x, gamma)
        return self.kernels.batch_norm_forward(x, self.mean, self.inv_std, gamma, beta)

    def choose_statistics(self, x: Array, gamma: Array, beta: Array) -> None:
        """Check the inputs and set `mean` and `inv_std`, [C] float64, moving the running statistics in training."""
        check_float(self.name, x=x, gamma=gamma, beta=beta)
        check_shape(self.name, x.shape[-1:], gamma=gamma, beta=beta, running_mean=self.running_mean)
        if self.training:
            count = x.size // x.shape[-1]
            if count < 2:
                raise ValueError(f"{self.name}: training needs more than one entry a channel, found x {x.shape}")
            mean, var = self.kernels.batch_norm_statistics(x)
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (var * (count / (count - 1)) - self.running_var)
        else:
            mean, var = self.running_mean.astype(np.float64), self.running_var.astype(np.float64)
        self.mean, self.inv_std = mean, 1 / (var + self.eps) ** 0.5

    def backward(self, gy: Array) -> Any:
        x, gamma = self.saved
        gx, ggamma, gbeta = self.kernels.batch_norm_backward(gy, x, self.mean, self.inv_std, gamma)
        if not self.training:
            gx = gy * (gamma * self.inv_std).astype(gy.dtype)
        return gx, ggamma, gbeta

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        return batch_norm_cost(inputs[0], self.training)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return batch_norm_backward_cost(inputs[0], self.training)
