"""Steps of the optimizers over one flat buffer, and the check that comes before them."""

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
    factors: tuple[float, ...] | Array,
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> None:
    """Adam's update, in place, on flat float32 arrays, if `finite` is not 0.

    factors: shrink, lr / (1 - beta1^k) and sqrt(1 - beta2^k), or float32 of them on the device, read when it runs.
    decay: weight decay that enters the gradient.
    """
    beta1, beta2 = betas
    arrays, grid = (w, g, m, v, finite, np.int64(w.size)), blocks_for(w.size)
    means = (float(decay), beta1, 1 - beta1, 1 - beta1 >= 0.5, beta2, 1 - beta2)
    if isinstance(factors, tuple):
        shrink, rate, root = factors
        launch("optim", "adam_step", grid, (THREADS,), *arrays, shrink, *means, rate, root, eps)
    else:
        launch("optim", "adam_step_again", grid, (THREADS,), *arrays, *means, eps, factors)


def sgd_step(
    w: Array,
    g: Array,
    average: Array | None,
    finite: Array,
    factors: tuple[float] | Array,
    momentum: float,
    decay: float,
    nesterov: bool,
) -> None:
    """SGD's update, in place, on flat float32 arrays, if `finite` is not 0; `average` is the momentum's, or None.

    factors: (lr,), or a float32 array of it, on the device, which is read when the kernel runs.
    """
    arrays = (w, g, w if average is None else average, average is not None, finite, np.int64(w.size))
    settings, grid = (float(momentum), float(decay), nesterov), blocks_for(w.size)
    if isinstance(factors, tuple):
        launch("optim", "sgd_step", grid, (THREADS,), *arrays, float(factors[0]), *settings)
    else:
        launch("optim", "sgd_step_again", grid, (THREADS,), *arrays, *settings, factors)
