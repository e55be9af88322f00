"""Rows of spikes or of floats times a matrix of weights."""

from snncore.backend import Array


def linear_forward(x: Array, w: Array) -> Array:
    """y [..., Co] = x [..., Ci] @ w [Ci, Co], of the type of w."""
    return x.astype(w.dtype, copy=False) @ w


def linear_backward_weight(x: Array, gy: Array) -> Array:
    """gw [Ci, Co] = sum over rows of x^T gy."""
    return x.reshape(-1, x.shape[-1]).astype(gy.dtype, copy=False).T @ gy.reshape(-1, gy.shape[-1])
