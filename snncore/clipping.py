"""Limiting gradients before a step: all by their common norm, or each entry by itself."""

import math
from typing import Any

import numpy as np

from snncore import backend
from snncore.backend import Array
from snncore.given import is_number
from snncore.optimizer import Parameters, named_tensors

__all__ = ["clip_grad_norm", "clip_grad_value"]


def clip_grad_norm(parameters: Parameters, max_norm: float) -> Any:
    """Scale all gradients together so that their common Euclidean norm is at most max_norm; return the norm before.

        norm = sqrt(sum of g * g over all entries of all gradients),  g = g * min(1, max_norm / norm)

    Changes the gradients in place. The norm is accumulated in float64. If it is NaN or infinite, it is returned and
    the gradients stay untouched: the caller decides. PyTorch divides by norm + 1e-6 instead.
    parameters: as an optimizer takes them. max_norm: > 0, in the unit of the gradients; infinity only measures. Raises
    ValueError for any other. Returns a float; of gradients on a GPU an array of shape (), float64, not waited for.
    """
    if not is_number(max_norm) or not max_norm > 0:
        raise ValueError(f"max_norm: expected a number > 0, found {max_norm!r}")
    grads = _gradients(parameters)
    xp = backend.array_module(*grads)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = [xp.sum(xp.square(g, dtype=xp.float64)) for g in grads]
        if xp is not np:
            return _scale_on_device(xp, grads, xp.sqrt(sum(squares)), float(max_norm))
        norm = math.sqrt(float(sum(squares)))
    if math.isfinite(norm) and norm > max_norm:
        for g in grads:
            g *= float(max_norm) / norm
    return norm


def _scale_on_device(xp: Any, grads: list[Array], norm: Array, max_norm: float) -> Array:
    large = xp.isfinite(norm) & (norm > max_norm)
    factor = xp.where(large, max_norm / norm, 1.0)
    for g in grads:
        g *= factor.astype(g.dtype)
    return norm


def clip_grad_value(parameters: Parameters, max_value: float) -> None:
    """Limit every entry of every gradient to [-max_value, max_value] in place; a NaN stays a NaN.

    parameters: as an optimizer takes them. max_value: > 0, in the unit of the gradients. Raises ValueError otherwise.
    """
    if not is_number(max_value) or not max_value > 0:
        raise ValueError(f"max_value: expected a number > 0, found {max_value!r}")
    for g in _gradients(parameters):
        backend.array_module(g).clip(g, -float(max_value), float(max_value), out=g)


def _gradients(parameters: Parameters) -> list[Array]:
    """Return each gradient once, though a shared parameter may be listed twice."""
    return list({id(p): p.grad for _, p in named_tensors(parameters) if p.grad is not None}.values())
