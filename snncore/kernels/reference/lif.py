"""LIF: forward over T timesteps and backpropagation through time."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.firing import Firing
from snncore.kernels.reference.membrane import reset, reset_slopes
from snncore.surrogate import fire, spike_dtype


def lif_forward(c: Array, v0: Array | None, firing: Firing) -> tuple[Array, Array]:
    """h[t] = decay * v[t-1] + c[t]; s[t] = h[t] >= v_threshold; v[t] = reset. Returns (s, v[T])."""
    s = array_module(c).empty(c.shape, spike_dtype(c))
    v = v0
    for t in range(len(c)):
        h = c[t] if v is None else firing.decay * v + c[t]
        s[t] = fire(h - firing.v_threshold, firing.surrogate)
        v = reset(h, s[t], firing)
    return s, v


def lif_backward(
    gs: Array, gv: Array | None, c: Array, s: Array, v0: Array | None, firing: Firing
) -> tuple[Array, Array, Array]:
    """BPTT of `lif_forward`: gs [T, ...] and gv (of v[T]) to (gc, gv0, gdecay).

    The membrane is recomputed; what fired is not: s is that of the forward pass (float if it was relaxed).
    With g the surrogate derivative at h[t] - v_threshold, and v[t] = reset(h[t], s[t]):
        gtotal[t] = gs[t] + gv[t] * dv/ds       (detach_reset: without the second term)
        gc[t] = gtotal[t] * g + gv[t] * dv/dh
        gdecay += gc[t] * v[t-1];  gv[t-1] = decay * gc[t]
    """
    xp = array_module(c)
    before, charged = [], []  # v[t-1] and h[t]
    v = xp.zeros_like(c[0]) if v0 is None else v0
    for t in range(len(c)):
        h = firing.decay * v + c[t]
        before.append(v)
        charged.append(h)
        v = reset(h, s[t], firing)
    gc = xp.empty_like(c)
    gdecay = xp.zeros((), np.float64)
    gv = xp.zeros_like(c[0]) if gv is None else gv
    for t in reversed(range(len(c))):
        h = charged.pop()
        by_h, by_s = reset_slopes(h, s[t], firing)
        gtotal = gs[t] if firing.detach_reset else gs[t] + gv * by_s
        gc[t] = gtotal * firing.surrogate.derivative(h - firing.v_threshold) + gv * by_h
        gdecay += (gc[t] * before.pop()).sum(dtype=np.float64)
        gv = firing.decay * gc[t]
    return gc, gv, gdecay
