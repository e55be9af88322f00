"""Steps of the optimizers over one flat buffer, and the check that comes before them."""

import math

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.module import THREADS, blocks_for, launch

CHECK_BLOCKS = 1024


def all_finite(w: Array, g: Array, loss: Array) -> Array:
    """Return int32 of shape (), 1 if every entry of w and g, flat float32, and the loss is finite, else 0."""
    finite = array_module(w).ones((), np.int32)
    grid = (min(blocks_for(w.size)[0], CHECK_BLOCKS),)
    value = loss.astype(np.float32, copy=False)
    launch("optim", "check_finite", grid, (THREADS,), w, g, value, finite, np.int64(w.size))
    return finite


def adam_step(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    finite: Array,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    updates: int,
    shrink: float,
    decay: float,
) -> None:
    """Adam's update number `updates`, in place, on flat float32 arrays, if `finite` is not 0.

    shrink: what w is multiplied with first (AdamW). decay: weight decay that enters the gradient.
    """
    beta1, beta2 = betas
    rate, root = lr / (1 - beta1**updates), math.sqrt(1 - beta2**updates)
    mean = (beta1, 1 - beta1, 1 - beta1 >= 0.5)
    factors = (float(shrink), float(decay), *mean, beta2, 1 - beta2, rate, root, eps)
    launch("optim", "adam_step", blocks_for(w.size), (THREADS,), w, g, m, v, finite, np.int64(w.size), *factors)


def sgd_step(
    w: Array, g: Array, average: Array | None, finite: Array, lr: float, momentum: float, decay: float, nesterov: bool
) -> None:
    """SGD's update, in place, on flat float32 arrays, if `finite` is not 0; `average` is the momentum's, or None."""
    arrays = (w, g, w if average is None else average, average is not None, finite)
    factors = (float(lr), float(momentum), float(decay), nesterov)
    launch("optim", "sgd_step", blocks_for(w.size), (THREADS,), *arrays, np.int64(w.size), *factors)
