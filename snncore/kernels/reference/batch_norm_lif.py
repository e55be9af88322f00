"""Batch normalisation and LIF one after the other, with nothing but x and s kept between forward and backward."""

from snncore.backend import Array
from snncore.firing import Firing
from snncore.kernels.reference.batch_norm import batch_norm_backward, batch_norm_forward
from snncore.kernels.reference.lif import lif_backward, lif_forward


def batch_norm_lif_forward(x: Array, mean: Array, inv_std: Array, gamma: Array, beta: Array, firing: Firing) -> Array:
    """s = lif_forward(batch_norm_forward(x)): spikes [T, ..., C]."""
    return lif_forward(batch_norm_forward(x, mean, inv_std, gamma, beta), None, firing)[0]


def batch_norm_lif_backward(
    gs: Array,
    x: Array,
    s: Array,
    mean: Array,
    inv_std: Array,
    gamma: Array,
    beta: Array,
    firing: Firing,
    training: bool,
) -> tuple[Array, Array, Array]:
    """Gradients (gx, ggamma, gbeta) with the spikes s of forward; `training`: mean and inv_std are those of x."""
    c = batch_norm_forward(x, mean, inv_std, gamma, beta)
    gc, _, _ = lif_backward(gs, None, c, s, None, firing)
    return batch_norm_backward(gc, x, mean, inv_std, gamma, training)
