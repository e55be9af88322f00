"""One modality of the MLIF, with its weight W and alpha, in single passes over memory.

Layout: o [T, N, H, W * C]; an item of `prange` is a stretch of at most `BLOCK` floats of one row of pixels, for all
samples, so that the gradient of the weight there is summed by one thread, in the order of samples and timesteps.
The forward pass is compiled without fused multiply-add: from the same o, its spikes are those of the reference kernels.
The backward pass recomputes the membranes in the same way (`charge`), and with them what fired: on the edge of a
rectangle, one rounding decides whether there is a derivative.
"""

import numpy as np
from numba import prange

from snncore.firing import Firing
from snncore.kernels import reference
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.membrane import constants
from snncore.kernels.cpu.memory import aligned
from snncore.kernels.cpu.surrogates import code_of, derivative
from snncore.kernels.reference.broadcast import sum_to
from snncore.surrogate import spike_dtype

f32 = np.float32
BLOCK = 1024


def runs_here(o: np.ndarray, w: np.ndarray | None, alpha: np.ndarray, u0: np.ndarray | None) -> bool:
    """Whether the compiled kernels take these types: spikes or float32 [T, N, H, W, C] from rest."""
    floats = o.size > 0 and alpha.dtype == np.float32 and (w is None or w.dtype == np.float32)
    return floats and u0 is None and o.ndim == 5 and o.dtype in (np.uint8, np.float32)


def rows_of(o: np.ndarray, w: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return o as [T, N, H, W * C], and w (or ones) as [H, W * C]."""
    steps, samples, height, width, channels = o.shape
    weights = np.empty((height, width, channels), np.float32)  # never read-only, or Numba would compile for that too
    weights[...] = 1 if w is None else w
    rows = np.ascontiguousarray(o).reshape(steps, samples, height, width * channels)
    return rows, weights.reshape(height, width * channels)


@compiled(parallel=True, exact=True)
def forward(o, w, alpha, decay, v_threshold, hard, v_reset, s, u):
    """Spikes s like o, and the last membranes u [N, H, W * C]."""
    steps, samples, height, length = o.shape
    parts = (length + BLOCK - 1) // BLOCK
    for item in prange(height * parts):
        row, first = item // parts, item % parts * BLOCK
        last = min(length, first + BLOCK)
        weight = w[row, first:last]
        for n in range(samples):
            v = u[n, row, first:last]
            v[:] = 0
            for t in range(steps):
                ot, st = o[t, n, row, first:last], s[t, n, row, first:last]
                for i in range(last - first):
                    h = decay * v[i] + f32(ot[i]) * weight[i]
                    fired = alpha * h >= v_threshold
                    st[i] = fired
                    if hard:
                        v[i] = v_reset if fired else h
                    else:
                        v[i] = h - (v_threshold if fired else f32(0))


def mlif_forward(
    o: np.ndarray,
    w: np.ndarray | None,
    alpha: np.ndarray,
    u0: np.ndarray | None,
    firing: Firing,
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and last membranes as `reference.mlif_forward`."""
    if not runs_here(o, w, alpha, u0) or spike_dtype(alpha) != np.uint8:
        return reference.mlif_forward(o, w, alpha, u0, firing)
    rows, weights = rows_of(o, w)
    s, u = aligned(rows.shape, np.uint8), aligned(rows.shape[1:], np.float32)
    forward(rows, weights, f32(alpha), *constants(firing), s, u)
    return s.reshape(o.shape), u.reshape(o.shape[1:])


@compiled(exact=True)
def charge(o, weight, alpha, decay, v_threshold, hard, v_reset, v, h, x):
    """Charged membranes h, x = alpha * h - v_threshold, and v after the reset where they fired, of one timestep."""
    for i in range(len(v)):
        charged = decay * v[i] + f32(o[i]) * weight[i]
        h[i] = charged
        fired = alpha * charged >= v_threshold
        x[i] = alpha * charged - v_threshold
        if hard:
            v[i] = v_reset if fired else charged
        else:
            v[i] = charged - (v_threshold if fired else f32(0))


@compiled(parallel=True)
def backward(
    gs, gu, o, w, alpha, decay, v_threshold, hard, v_reset, detach_reset, code, slope, go, gw, galpha
):  # fmt: skip
    """go like o, gw like w, and galpha [items] in parts; gu [N, H, W * C] is that of the last membranes."""
    steps, samples, height, length = o.shape
    parts = (length + BLOCK - 1) // BLOCK
    for item in prange(height * parts):
        row, first = item // parts, item % parts * BLOCK
        last = min(length, first + BLOCK)
        size = last - first
        weight, sums = w[row, first:last], gw[row, first:last]
        sums[:] = 0
        charged, slopes = np.empty((steps, size), np.float32), np.empty((steps, size), np.float32)
        v, gv = np.empty(size, np.float32), np.empty(size, np.float32)
        by_alpha = np.zeros(size, np.float32)
        total = 0.0
        for n in range(samples):
            v[:] = 0
            gv[:] = gu[n, row, first:last]
            for t in range(steps):
                ot = o[t, n, row, first:last]
                charge(ot, weight, alpha, decay, v_threshold, hard, v_reset, v, charged[t], slopes[t])
            for back in range(steps):
                t = steps - 1 - back
                g, ht, dt = gs[t, n, row, first:last], charged[t], slopes[t]
                out, ot = go[t, n, row, first:last], o[t, n, row, first:last]
                derivative(code, slope, dt)
                if hard:
                    for i in range(size):  # what passes the reset: all of gv where it did not fire
                        v[i] = f32(0) if alpha * ht[i] >= v_threshold else gv[i]
                    for i in range(size):
                        by_s = f32(0) if detach_reset else v_reset - ht[i]
                        dt[i] *= g[i] + gv[i] * by_s
                        gv[i] = dt[i] * alpha + v[i]
                else:
                    by_s = f32(0) if detach_reset else -v_threshold
                    for i in range(size):
                        dt[i] *= g[i] + gv[i] * by_s
                        gv[i] += dt[i] * alpha
                for i in range(size):
                    by_alpha[i] += dt[i] * ht[i]
                for i in range(size):
                    value = gv[i]
                    sums[i] += value * f32(ot[i])
                    out[i] = value * weight[i]
                    gv[i] = decay * value
            if n % 8 == 7 or n == samples - 1:  # short sums in float32, their total in float64
                for i in range(size):
                    total += by_alpha[i]
                by_alpha[:] = 0
        galpha[item] = total


def mlif_backward(
    gs: np.ndarray,
    gu: np.ndarray | None,
    o: np.ndarray,
    s: np.ndarray | None,
    w: np.ndarray | None,
    alpha: np.ndarray,
    u0: np.ndarray | None,
    firing: Firing,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]:
    """Gradients (go, gw, galpha, gu0) as `reference.mlif_backward`; gu0, which nothing takes from rest, is None.

    The spikes s are found again if None.
    """
    coded = code_of(firing.surrogate)
    compiled_for = runs_here(o, w, alpha, u0) and gs.dtype == np.float32 and (s is None or s.dtype == np.uint8)
    if coded is None or not compiled_for:
        if s is None:
            s = mlif_forward(o, w, alpha, u0, firing)[0]
        return reference.mlif_backward(gs, gu, o, s, w, alpha, u0, firing)
    rows, weights = rows_of(o, w)
    gs = np.ascontiguousarray(gs).reshape(rows.shape)
    last = np.zeros(rows.shape[1:], np.float32)  # always an array of one kind, or Numba would compile for each
    if gu is not None:
        last[...] = gu.reshape(last.shape)
    go, gw = aligned(rows.shape, np.float32), aligned(weights.shape, np.float32)
    galpha = np.empty(len(weights) * -(-weights.shape[1] // BLOCK))
    neuron = (*constants(firing), firing.detach_reset)
    backward(gs, last, rows, weights, f32(alpha), *neuron, *coded, go, gw, galpha)
    if w is not None:
        gw = sum_to(gw.reshape(o.shape[2:]).astype(np.float64), w.shape).astype(np.float32)
    return go.reshape(o.shape), None if w is None else gw, np.asarray(galpha.sum(), np.float32), None
