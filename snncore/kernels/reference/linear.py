"""Rows of spikes or of floats times a matrix of weights."""

import math

from snncore.backend import Array


def linear_forward(x: Array, w: Array) -> Array:
    """y [..., Co] = x [..., Ci] @ w [Ci, Co], of the type of w."""
    return x.astype(w.dtype, copy=False) @ w


def linear_backward_weight(x: Array, gy: Array) -> Array:
    """gw [Ci, Co] = sum over rows of x^T gy."""
    return rows_of(x).astype(gy.dtype, copy=False).T @ rows_of(gy)


def rows_of(x: Array) -> Array:
    """Return x [..., C] as [M, C], also where C is 0."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
