"""Batch normalisation backward in one call: the sums of a set of kernels, then its gradient of x from them."""


def gradients(module, gy, x, mean, inv_std, gamma, training):
    """(gx, ggamma, gbeta), the two of the parameters float64."""
    sums = module.batch_norm_gradient_sums(gy, x, mean, inv_std)
    gx = module.batch_norm_backward(gy, x, mean, inv_std, gamma, sums, entries(x) if training else None)
    return gx, sums[1], sums[0]


def lif_gradients(module, gs, x, s, mean, inv_std, gamma, beta, firing, training):
    """The same with LIF."""
    gc, sums = module.batch_norm_lif_gradient_sums(gs, x, s, mean, inv_std, gamma, beta, firing)
    gx = module.batch_norm_lif_backward(gc, x, mean, inv_std, gamma, sums, entries(x) if training else None)
    return gx, sums[1], sums[0]


def entries(x):
    """Entries a channel."""
    return x.size // x.shape[-1]
