"""Steps of the optimizers in one pass over the flat buffers: the operations of `snncore.optim`, in its order.

Each is rounded to float32 and none is fused, so the bits are those of the array code there.
"""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled

BLOCK = 1 << 14  # entries that a thread takes at a time
f32 = np.float32


@compiled(parallel=True, exact=True)
def adam(w, g, m, v, shrink, decay, beta1, rest1, near, beta2, rest2, rate, root, eps):
    n = len(w)
    for block in prange((n + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, min(n, (block + 1) * BLOCK))
        wb, gb, mb, vb = w[part], g[part], m[part], v[part]
        for i in range(len(wb)):
            wi = wb[i] * shrink
            gi = gb[i] + decay * wi if decay != 0 else gb[i]
            d = gi - mb[i]
            mi = gi - beta1 * d if near else mb[i] + rest1 * d
            vi = vb[i] * beta2 + rest2 * gi * gi
            mb[i] = mi
            vb[i] = vi
            wb[i] = wi - rate * mi / (np.sqrt(vi) / root + eps)


def adam_step(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    factors: tuple[float, ...],
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> None:
    """Adam's update, in place, on flat float32 arrays; factors: what w is multiplied with first, rate and root."""
    shrink, rate, root = factors
    beta1, beta2 = betas
    near = 1 - beta1 >= 0.5  # which end of the step from m to g the new m is reckoned from
    numbers = (shrink, decay, beta1, 1 - beta1, near, beta2, 1 - beta2, rate, root, eps)
    adam(w, g, m, v, *(x if isinstance(x, bool) else f32(x) for x in numbers))


@compiled(parallel=True, exact=True)
def sgd(w, g, buf, averaged, momentum, decay, nesterov, rate):
    n = len(w)
    for block in prange((n + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, min(n, (block + 1) * BLOCK))
        wb, gb, bb = w[part], g[part], buf[part]
        for i in range(len(wb)):
            gi = gb[i] + decay * wb[i] if decay != 0 else gb[i]
            if averaged:
                bi = bb[i] * momentum + gi
                bb[i] = bi
                gi = gi + momentum * bi if nesterov else bi
            wb[i] -= rate * gi


def sgd_step(
    w: np.ndarray,
    g: np.ndarray,
    average: np.ndarray | None,
    factors: tuple[float, ...],
    momentum: float,
    decay: float,
    nesterov: bool,
) -> None:
    """SGD's update, in place, on flat float32 arrays; factors: the learning rate; average: None without momentum."""
    buf = g if average is None else average  # never written without momentum
    sgd(w, g, buf, average is not None, f32(momentum), f32(decay), nesterov, f32(factors[0]))
