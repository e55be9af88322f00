"""Convolution, batch normalisation and the LIF neuron after it, in one pass over memory: for evaluation alone."""

import copy
from typing import Any

from snncore.backend import Array
from snncore.context import context, enter
from snncore.firing import Firing
from snncore.functions.batch_norm_lif import BatchNormLIF
from snncore.functions.checks import check_float, check_window
from snncore.functions.conv2d import Conv2d
from snncore.functions.summing import summing
from snncore.functions.trace import Trace
from snncore.graph import GraphError
from snncore.opcount.cost import OpCount
from snncore.tape import Function, Unwritten

__all__ = ["ConvBatchNormLIF"]


class ConvBatchNormLIF(Function):
    """s = LIF(BatchNorm(Conv2d(x))) with the running statistics: a layer of a spiking network in evaluation.

        y = Conv2d(x, w);   c[t] = gamma * (y[t] - mean) / sqrt(var + eps) + beta;   s = LIF(c)

    The same spikes, bit for bit, as the operations one after the other (a test holds this), but neither y nor c is ever
    in memory where spikes are sparse enough for lists of events. There is no backward: what it would need was not kept.

    x: [T, N, H, W, Ci]. w: float [kh, kw, Ci, Co]. gamma, beta: [Co]. running_mean, running_var: arrays [Co].
    modules: the convolution and the neuron that it runs for; observers are then told of Conv2d and BatchNormLIF, each
    as the work of its module, with an `Unwritten` in the place of y. None: they are told of this operation.
    Returns s: uint8 [T, N, Ho, Wo, Co].
    Raises what Conv2d and BatchNormLIF raise; GraphError where a gradient is wanted.
    """

    spiking = True

    def __init__(
        self,
        stride: tuple[int, int],
        padding: tuple[int, int],
        running_mean: Array,
        running_var: Array,
        eps: float = 1e-5,
        *,
        firing: Firing,
        modules: tuple[Any, Any] | None = None,
    ) -> None:
        self.modules = modules
        self.conv = Conv2d(stride, padding)
        self.norm = BatchNormLIF(running_mean, running_var, False, eps=eps, firing=firing)

    def forward(self, x: Array, w: Array, gamma: Array, beta: Array) -> Array:
        if any(self.needs):
            raise GraphError(f"{self.name}: is for evaluation, under no_grad(); expected no gradient to be wanted")
        if x.ndim != 5 or w.ndim != 4 or x.shape[-1] != w.shape[2]:
            raise ValueError(
                f"{self.name}: expected x [T, N, H, W, Ci] and w [kh, kw, Ci, Co] with the same Ci, "
                f"found x {x.shape} and w {w.shape}"
            )
        check_window(self.name, x, w, self.conv.padding)
        check_float(self.name, w=w)
        self.norm = copy.copy(self.norm)  # the statistics are those of this call
        self.norm.choose_statistics(w, gamma, beta)  # of w, for its type and channels are those of y
        forward = summing(self.kernels, "conv_batch_norm_lif_forward", x, w)
        norm = (self.norm.mean, self.norm.inv_std, gamma, beta, self.norm.firing)
        return forward(x, w, self.conv.stride, self.conv.padding, *norm)

    def backward(self, gs: Array) -> Any:
        raise GraphError(f"{self.name}: has no backward; Conv2d and BatchNormLIF have")

    def tell(self, inputs: tuple, outputs: tuple) -> None:
        if self.modules is None:
            super().tell(inputs, outputs)
            return
        x, w, gamma, beta = inputs
        conv = copy.copy(self.conv)
        conv._kernels, self.norm._kernels = self._kernels, self._kernels
        y = Unwritten(outputs[0].shape, w.dtype)
        given: tuple[tuple[Any, ...], ...] = (x, w, None), (y, gamma, beta)
        made = (y,), outputs
        for module, part, arrays, results in zip(self.modules, (conv, self.norm), given, made, strict=True):
            part.needs = (False,) * 3
            enter(module)
            try:
                part.tell(arrays, results)
            finally:
                context.scope.pop()

    def _currents(self, inputs: tuple) -> tuple[Array, ...]:
        """Inputs of the second half: y, computed again, gamma and beta."""
        x, w, gamma, beta = inputs
        conv = copy.copy(self.conv)
        conv._kernels = self._kernels  # called without the tape, so that no observer sees an operation
        return conv.forward(x, w), gamma, beta

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Cost of the two operations."""
        second = self._currents(inputs)
        return self.conv.cost((*inputs[:2], None), second[:1]) + self.norm.cost(second, outputs)

    def traces(self, inputs: tuple, outputs: tuple) -> tuple[Trace, ...]:
        return self.norm.traces(self._currents(inputs), outputs)
