"""Batch normalisation over all axes but the channels: timesteps, samples and pixels."""

import math
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.context import context
from snncore.functions.checks import check_float, check_shape
from snncore.functions.synchronised import whole_moments
from snncore.kernels.choice import arithmetic_choice
from snncore.kernels.reference.batch_norm import Moments
from snncore.opcount.cost import Facts, OpCount, later, lead_of
from snncore.opcount.events import Form, entries, form_of, nothing, traffic
from snncore.opcount.origin import known_origin, repeated_cells
from snncore.parallel import Share
from snncore.tape import Function, Tensor


class BatchNorm(Function):
    """Give each channel zero mean and unit variance, then scale and shift it.

        z = (x - mean) / sqrt(var + eps);  y = gamma * z + beta

    Training: mean and (biased) variance of the batch, over T, N, H and W together; the running statistics move by
    running += momentum * (batch - running), the variance there unbiased. Evaluation: the running statistics.
    Going back in training, over n entries a channel (in evaluation the two means drop out):

        gbeta = sum gy;  ggamma = sum gy z;  gx = gamma / sqrt(var + eps) * (gy - gbeta / n - z ggamma / n)

    x: float [..., C]. gamma, beta: [C]. running_mean, running_var: arrays [C], changed in place in training.
    Kept for backward: x and gamma. Source: Ioffe and Szegedy 2015; over T as in Eq. 3 of the paper.

    Forward and backward each sum over the batch and then change each entry by the sums. `all_moments` and `all_sums`
    stand in between, so that a batch can be spread over machines (Peng et al. 2018, "MegDet": synchronised
    statistics); n is then the number of entries of all of them. In exact arithmetic (docs/exact.md) the statistics are
    sums that no order changes, of one machine as of many.
    Raises ValueError if the channels differ, or in training if there is one entry a channel; TypeError if x is spikes,
    or a running statistic is no array of floats.
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
        """Check the inputs and set `mean` and `inv_std`, [C] float64, moving the running statistics in training.

        `count` is then the number of entries a channel that they were taken of; None in evaluation.
        """
        check_float(self.name, x=x, gamma=gamma, beta=beta)
        if not x.ndim or not x.shape[-1]:
            raise ValueError(f"{self.name}: expected x [..., C] with at least one channel, found {x.shape}")
        statistics = {"running_mean": self.running_mean, "running_var": self.running_var}
        for name, kept in statistics.items():
            if isinstance(kept, Tensor) or getattr(getattr(kept, "dtype", None), "kind", "") != "f":
                found = kept.dtype if hasattr(kept, "dtype") and not isinstance(kept, Tensor) else type(kept).__name__
                raise TypeError(
                    f"{self.name}: expected {name}, an array of floats that training changes, found {found}"
                )
        check_shape(self.name, x.shape[-1:], gamma=gamma, beta=beta, **statistics)
        self.count: int | None = None
        if self.training:
            settings = (self.running_mean, self.running_var, self.momentum, self.eps)
            at_once = getattr(self.kernels, "SETTLES", None)  # the kernel goes on, if this batch is the whole one
            if at_once and x.size >= 2 * x.shape[-1] > 0 and not self.is_synchronised():
                name = "binned_moments" if self.has_no_order(x) else "batch_norm_statistics"
                moments, self.inv_std = getattr(self.kernels, name)(x, settle=at_once(*settings))
            else:
                moments = self.all_moments(x)
                if moments.entries < 2:
                    raise ValueError(f"{self.name}: training needs more than one entry a channel, found x {x.shape}")
                self.inv_std = self.kernels.batch_norm_settle(moments, *settings)
            self.count, self.mean = moments.entries, moments.mean
        else:
            self.mean = self.running_mean.astype(np.float64)
            self.inv_std = 1 / (self.running_var.astype(np.float64) + self.eps) ** 0.5

    def is_synchronised(self) -> bool:
        """Whether the batch is spread over ranks and its statistics are to be those of all of it."""
        return context.share is not None and context.share.synchronised

    def has_no_order(self, x: Array) -> bool:
        """Whether the statistics are to have the same bits in any order: on ranks, or in exact arithmetic."""
        return self.is_synchronised() or (x.dtype == np.float32 and arithmetic_choice() == "exact")

    def all_moments(self, x: Array) -> Moments:
        """Return the moments of the batch on all machines, of which x is the part here."""
        if self.has_no_order(x):
            return whole_moments(self.kernels, x, context.share if self.is_synchronised() else Share())
        return self.kernels.batch_norm_statistics(x)

    def all_sums(self, here: Array) -> Array:
        """Return gbeta and ggamma, [2, C] float64, added up over all machines, from those here, which stay as they are.

        gx needs those of the whole batch. The gradients of gamma and beta are the local ones, because data-parallel
        training adds up all gradients of parameters itself.
        """
        if not self.is_synchronised():
            return here
        whole = here.copy()
        context.share.comm.sum(whole)
        return whole

    def backward(self, gy: Array) -> Any:
        x, gamma = self.saved
        into = self.into(2, 1)
        sums = self.kernels.batch_norm_gradient_sums(gy, x, self.mean, self.inv_std, **into)
        whole = self.all_sums(sums) if self.training else sums
        gx = self.kernels.batch_norm_backward(gy, x, self.mean, self.inv_std, gamma, whole, self.count)
        return gx, *self.parameter_gradients(sums, gamma, into)

    def parameter_gradients(self, sums: Array, gamma: Array, into: dict[str, Any]) -> tuple[Array, Array]:
        """Return (ggamma, gbeta) from the sums, or where the kernel put them."""
        if into:
            gbeta, ggamma = into["out"]
            return ggamma, gbeta
        return sums[1].astype(gamma.dtype), sums[0].astype(gamma.dtype)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Cost of y = scale * x + shift with a scale and a shift a channel, and of the statistics in training.

        Statistics: n - 1 additions for the mean, then n subtractions, n squares and n - 1 additions for the variance,
        for each channel. What is done once a channel (scale, shift, running statistics) is not counted. Folding into
        the weights, possible in evaluation, leaves the shift. Training cannot fold: bn_folded_add then says what it
        would be.
        """
        x = inputs[0]
        lead = lead_of(x.shape)
        repeated = None if self.training else repeated_cells(x, lead, known_origin())
        cost = later(_state, form_of(x), lead, self.training, repeated, computes=False)
        cost.repeated = repeated
        return cost

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Cost of gbeta, ggamma and gx as written above; what is done once a channel is free.

        Training: z = (x - mean) / std (an addition, a product), two sums with n - 1 additions a channel and a product
        gy z, then z * ggamma / n, gy - gbeta / n - that, and the factor. Evaluation: the sums, and a product for gx.
        """
        n, channels = inputs[0].size, inputs[0].shape[-1]
        if self.training:
            return OpCount(back_mul=4 * n, back_add=5 * n - 2 * channels)
        return OpCount(back_mul=3 * n, back_add=3 * n - 2 * channels)


def _state(x: Form, lead: tuple[int, ...], training: bool, repeated: np.ndarray | None) -> OpCount:
    """State that cost. repeated: cells of x that are those of the timestep before, None for none."""
    per, channels = entries(x.shape, lead), x.shape[-1]
    once = {}
    if training and x.size:
        once = {"bn_stat_mul": x.size, "bn_stat_add": 3 * x.size - 2 * channels}
    columns: dict[str, Any] = {"bn_mul": per, "bn_add": per, "bn_folded_add": per}
    columns |= traffic(x, lead, "read") | traffic(x, lead, "write")
    if not training:  # also where nothing is repeated: a call states the same columns in each batch
        columns["add_repeated"] = nothing(lead) if repeated is None else repeated * per
    facts = Facts("batch_norm", "BatchNorm", x.size, x.size, math.prod(lead), channels=(channels,) * 2)
    return OpCount(lead, once, (facts,), **columns)
