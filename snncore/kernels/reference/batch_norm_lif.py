"""Batch normalisation and LIF one after the other, with nothing but x and s kept between forward and backward.

The statistics are those of `batch_norm_statistics`. Back there are two halves as for batch normalisation alone.
"""

from snncore.backend import Array
from snncore.firing import Firing
from snncore.kernels.reference.batch_norm import batch_norm_backward, batch_norm_forward, batch_norm_gradient_sums
from snncore.kernels.reference.lif import lif_backward, lif_forward


def batch_norm_lif_forward(x: Array, mean: Array, inv_std: Array, gamma: Array, beta: Array, firing: Firing) -> Array:
    """s = lif_forward(batch_norm_forward(x)): spikes [T, ..., C]."""
    return lif_forward(batch_norm_forward(x, mean, inv_std, gamma, beta), None, firing)[0]


def batch_norm_lif_gradient_sums(
    gs: Array, x: Array, s: Array, mean: Array, inv_std: Array, gamma: Array, beta: Array, firing: Firing
) -> tuple[Array, Array]:
    """Gradient gc of the currents, with the spikes s of forward, and its sums as `batch_norm_gradient_sums`."""
    c = batch_norm_forward(x, mean, inv_std, gamma, beta)
    gc, _, _ = lif_backward(gs, None, c, s, None, firing)
    return gc, batch_norm_gradient_sums(gc, x, mean, inv_std)


def batch_norm_lif_backward(
    gc: Array, x: Array, mean: Array, inv_std: Array, gamma: Array, sums: Array, count: int | None
) -> Array:
    """Gradient of x from that of the currents, as `batch_norm_backward`; gc may be overwritten."""
    return batch_norm_backward(gc, x, mean, inv_std, gamma, sums, count)
