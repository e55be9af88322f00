"""Convolution, batch normalisation and neuron of a layer: in one pass in evaluation, if nobody looks in between."""

import numpy as np

from snncore.backend import array_module
from snncore.context import context
from snncore.functions.conv_batch_norm_lif import ConvBatchNormLIF
from snncore.nn.layers import BatchNorm, Conv2d
from snncore.nn.neurons import IF, LIF, Neuron
from snncore.tape import Tensor

__all__ = ["conv_norm_neuron"]


def conv_norm_neuron(x: Tensor, conv: Conv2d, norm: BatchNorm, neuron: Neuron) -> Tensor:
    """Return neuron(conv(x), norm): spikes [T, N, Ho, Wo, Co] of x [T, N, H, W, Ci].

    In evaluation, under `no_grad()`, LIF and IF run with the convolution and the normalisation in one pass
    (`functions.conv_batch_norm_lif`), with the same bits, and the currents are not in memory. The three run one by one
    while an observer wants the currents (`observe`, `monitor`; `count_ops` and firing rates do not), under `unfused()`,
    if the membrane is carried from call to call, and where there is nothing to gain: analog input, a bias, other types
    than float32, a GPU.
    """
    if isinstance(neuron, LIF) and _one_pass(x, conv, norm, neuron):
        statistics = norm.running_mean.data, norm.running_var.data, norm.eps
        settings = conv.function.stride, conv.function.padding
        function = ConvBatchNormLIF(*settings, *statistics, firing=neuron.firing, modules=(conv, neuron))
        return function(x, conv.weight, norm.weight, norm.bias)
    return neuron(conv(x), norm)


def _one_pass(x: Tensor, conv: Conv2d, norm: BatchNorm, neuron: LIF) -> bool:
    if context.grad_enabled or context.currents or not context.fused or context.relaxed:
        return False
    if type(conv) is not Conv2d or type(norm) is not BatchNorm or type(neuron) not in (LIF, IF):
        return False  # a subclass may do something else
    if norm.training or neuron.stateful or conv.bias is not None or conv.function.dilation != (1, 1):
        return False
    w = conv.weight.data
    spikes = x.ndim == 5 and x.size > 0 and x.dtype == np.uint8
    known = spikes and w.dtype == np.float32 and array_module(x.data, w) is np
    # A layer that does not fit is left to the convolution, whose message names it.
    fits = known and x.shape[-1] == w.shape[2] and len(norm.weight) == w.shape[3]
    return fits and all(n + 2 * p >= k for n, p, k in zip(x.shape[2:4], conv.function.padding, w.shape, strict=False))
