"""Batch normalisation of one channel at a time in plain numbers: x [entries, C]."""

import math

import numpy as np


def statistics(x):
    """Mean and biased variance of each channel, summed exactly."""
    n = len(x)
    mean = [math.fsum(channel) / n for channel in x.T]
    var = [math.fsum((e - m) ** 2 for e in channel) / n for channel, m in zip(x.T, mean, strict=True)]
    return np.array(mean), np.array(var)


def batch_norm(x, gamma, beta, mean, var, eps):
    out = np.empty(x.shape)
    for i, c in np.ndindex(x.shape):
        out[i, c] = gamma[c] * (x[i, c] - mean[c]) / math.sqrt(var[c] + eps) + beta[c]
    return out


def batch_norm_gradients(x, gy, gamma, eps):
    """(gx, ggamma, gbeta) in training, from the whole Jacobian of the normalisation:

    dz[i] / dx[j] = (delta(i, j) - 1 / n - z[i] z[j] / n) / sqrt(var + eps)
    """
    n = len(x)
    mean, var = statistics(x)
    gx, ggamma, gbeta = np.empty(x.shape), np.empty(len(gamma)), np.empty(len(gamma))
    for c in range(len(gamma)):
        std = math.sqrt(var[c] + eps)
        z = (x[:, c] - mean[c]) / std
        jacobian = (np.eye(n) - 1 / n - np.outer(z, z) / n) / std
        gx[:, c] = gamma[c] * gy[:, c] @ jacobian
        ggamma[c], gbeta[c] = math.fsum(gy[:, c] * z), math.fsum(gy[:, c])
    return gx, ggamma, gbeta
