"""Backward of BatchNormLIF in one call: the sums of a set of kernels, then its gradient of x from them."""


def lif_gradients(module, gs, x, s, mean, inv_std, gamma, beta, firing, training, **also):
    """(gx, ggamma, gbeta), the two of the parameters float64."""
    gc, sums = module.batch_norm_lif_gradient_sums(gs, x, s, mean, inv_std, gamma, beta, firing, **also)
    count = x.size // x.shape[-1] if training else None
    return module.batch_norm_lif_backward(gc, x, mean, inv_std, gamma, sums, count), sums[1], sums[0]
