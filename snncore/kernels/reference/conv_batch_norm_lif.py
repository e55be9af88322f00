"""Convolution, batch normalisation by given statistics, and LIF, one after the other; in either arithmetic."""

from snncore.backend import Array
from snncore.firing import Firing
from snncore.kernels.reference.batch_norm_lif import batch_norm_lif_forward
from snncore.kernels.reference.conv import conv_forward
from snncore.kernels.reference.exact import exact_conv_forward

Pair = tuple[int, int]


def conv_batch_norm_lif_forward(
    x: Array,
    w: Array,
    stride: Pair,
    padding: Pair,
    mean: Array,
    inv_std: Array,
    gamma: Array,
    beta: Array,
    firing: Firing,
) -> Array:
    """s = batch_norm_lif_forward(conv_forward(x)): spikes [T, N, Ho, Wo, Co] of x [T, N, H, W, Ci]."""
    y = conv_forward(x.reshape(-1, *x.shape[2:]), w, stride, padding)  # [T * N, Ho, Wo, Co]
    return batch_norm_lif_forward(y.reshape(*x.shape[:2], *y.shape[1:]), mean, inv_std, gamma, beta, firing)


def exact_conv_batch_norm_lif_forward(
    x: Array,
    w: Array,
    stride: Pair,
    padding: Pair,
    mean: Array,
    inv_std: Array,
    gamma: Array,
    beta: Array,
    firing: Firing,
) -> Array:
    """The same with exact sums (`exact_conv_forward`)."""
    y = exact_conv_forward(x.reshape(-1, *x.shape[2:]), w, stride, padding)  # [T * N, Ho, Wo, Co]
    return batch_norm_lif_forward(y.reshape(*x.shape[:2], *y.shape[1:]), mean, inv_std, gamma, beta, firing)
