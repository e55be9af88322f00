"""LIF neurons that no batch normalisation precedes, in single passes over memory.

Layout: [T, n], whatever the axes behind the timesteps. A block is as many neurons as keep two arrays of all timesteps
in the level-1 or level-2 cache (`KEPT` floats, at most `BLOCK` neurons); an item of `prange` is a block, whose size
does not depend on the number of threads.

The forward pass is compiled without fused multiply-add: from the same currents, its spikes are those of the reference
kernels. The backward pass takes what fired from it and charges the membranes again in the same way (`charge`): on the
edge of a rectangle, one rounding decides whether there is a derivative.
"""

import numpy as np
from numba import prange

from snncore.firing import Firing
from snncore.kernels import reference
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.membrane import constants
from snncore.kernels.cpu.memory import aligned
from snncore.kernels.cpu.surrogates import code_of, derivative
from snncore.surrogate import spike_dtype

f32 = np.float32
BLOCK = 1024  # neurons: 4 KiB of a timestep
KEPT = 1 << 14  # floats, of a block's membranes of all timesteps: 64 KiB


def block_length(steps: int) -> int:
    """Neurons in a block."""
    return max(64, min(BLOCK, KEPT // steps))


def runs_here(c: np.ndarray, *more: np.ndarray | None) -> bool:
    """Whether the compiled kernels take these types: float32; the rest is left to the reference."""
    return c.size > 0 and all(a is None or a.dtype == np.float32 for a in (c, *more))


@compiled(parallel=True, exact=True)
def forward(c, decay, v_threshold, hard, v_reset, length, s, v):
    """Spikes s [T, n] from currents c [T, n]; v [n]: the membrane before the first step, then after the last."""
    steps, n = c.shape
    for block in prange((n + length - 1) // length):
        first, last = block * length, min(n, (block + 1) * length)
        u = v[first:last]
        for t in range(steps):
            ct, st = c[t, first:last], s[t, first:last]
            for i in range(last - first):
                h = decay * u[i] + ct[i]
                fired = h >= v_threshold
                st[i] = fired
                if hard:
                    u[i] = v_reset if fired else h
                else:
                    u[i] = h - (v_threshold if fired else f32(0))


def lif_forward(c: np.ndarray, v0: np.ndarray | None, firing: Firing) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and last membranes as `reference.lif_forward`."""
    if not runs_here(c, v0) or spike_dtype(c) != np.uint8:
        return reference.lif_forward(c, v0, firing)
    flat = np.ascontiguousarray(c).reshape(len(c), -1)  # [T, n]
    s, v = aligned(flat.shape, np.uint8), np.zeros(c.shape[1:], np.float32)  # a membrane that is kept owns its memory
    if v0 is not None:
        v[...] = v0
    forward(flat, *constants(firing), block_length(len(c)), s, v.reshape(-1))
    return s.reshape(c.shape), v


@compiled(exact=True)
def charge(c, s, decay, v_threshold, hard, v_reset, v, before, above):
    """Of one timestep: before = v, the charged membranes minus v_threshold, and v after the reset where s fired."""
    for i in range(len(c)):
        before[i] = v[i]
        h = decay * v[i] + c[i]
        above[i] = h - v_threshold
        if hard:
            v[i] = v_reset if s[i] else h
        else:
            v[i] = h - (v_threshold if s[i] else f32(0))


@compiled(parallel=True)
def backward(gs, c, s, v, gv, decay, v_threshold, hard, v_reset, detach_reset, code, slope, length, gc, gdecay):
    """BPTT: gc [T, n]; v and gv [n]: membranes before the first step, and the gradient of the last ones, which turns
    into that of the first; gdecay, float64, a sum for each block."""
    steps, n = c.shape
    for block in prange(len(gdecay)):
        first, last = block * length, min(n, (block + 1) * length)
        size = last - first
        slopes, before = np.empty((steps, size), np.float32), np.empty((steps, size), np.float32)
        charged = np.empty((steps if hard else 0, size), np.float32)
        u, g_u, by_decay = v[first:last].copy(), gv[first:last], np.zeros(size, np.float32)
        for t in range(steps):
            ct, st, ht = c[t, first:last], s[t, first:last], slopes[t]
            charge(ct, st, decay, v_threshold, hard, v_reset, u, before[t], ht)
            if hard:
                charged[t] = ht
            derivative(code, slope, ht)
        for back in range(steps):
            t = steps - 1 - back
            g, dt, out, bt = gs[t, first:last], slopes[t], gc[t, first:last], before[t]
            if hard:
                ht, st = charged[t], s[t, first:last]
                for i in range(size):
                    by_s = f32(0) if detach_reset else v_reset - (ht[i] + v_threshold)
                    through = f32(0) if st[i] else g_u[i]
                    value = (g[i] + g_u[i] * by_s) * dt[i] + through
                    out[i] = value
                    by_decay[i] += value * bt[i]
                    g_u[i] = decay * value
            else:
                by_s = f32(0) if detach_reset else -v_threshold
                for i in range(size):
                    value = (g[i] + g_u[i] * by_s) * dt[i] + g_u[i]
                    out[i] = value
                    by_decay[i] += value * bt[i]
                    g_u[i] = decay * value
        total = 0.0
        for i in range(size):
            total += by_decay[i]
        gdecay[block] = total


def lif_backward(
    gs: np.ndarray,
    gv: np.ndarray | None,
    c: np.ndarray,
    s: np.ndarray,
    v0: np.ndarray | None,
    firing: Firing,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gc, gv0, gdecay) as `reference.lif_backward`."""
    coded = code_of(firing.surrogate)
    if coded is None or s.dtype != np.uint8 or not runs_here(c, gs, gv, v0):
        return reference.lif_backward(gs, gv, c, s, v0, firing)
    flat, gs, s = (np.ascontiguousarray(a).reshape(len(c), -1) for a in (c, gs, s))  # [T, n]
    n, length = flat.shape[1], block_length(len(c))
    v, gu = np.zeros((2, n), np.float32)
    if v0 is not None:
        v[:] = v0.reshape(-1)
    if gv is not None:
        gu[:] = gv.reshape(-1)
    gc, parts = aligned(flat.shape, np.float32), np.empty(-(-n // length))
    backward(gs, flat, s, v, gu, *constants(firing), firing.detach_reset, *coded, length, gc, parts)
    return gc.reshape(c.shape), gu.reshape(c.shape[1:]), parts.sum()
