"""One modality of the MLIF: forward over T timesteps and backpropagation through time."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.firing import Firing
from snncore.kernels.reference.broadcast import sum_to
from snncore.kernels.reference.membrane import reset, reset_slopes
from snncore.surrogate import fire, spike_dtype


def mlif_forward(o: Array, w: Array | None, alpha: Array, u0: Array | None, firing: Firing) -> tuple[Array, Array]:
    """One modality of the MLIF: u = decay * u + o[t] * w; s[t] = alpha * u >= v_threshold; reset. Returns (s, u[T])."""
    dtype = alpha.dtype
    s = array_module(o).empty(o.shape, np.uint8 if spike_dtype(alpha) == np.uint8 else dtype)
    u = u0
    for t in range(len(o)):
        c = o[t].astype(dtype) if w is None else o[t] * w
        h = c if u is None else firing.decay * u + c
        s[t] = fire(alpha * h - firing.v_threshold, firing.surrogate)
        u = reset(h, s[t], firing)
    return s, u


def mlif_backward(
    gs: Array,
    gu: Array | None,
    o: Array,
    s: Array,
    w: Array | None,
    alpha: Array,
    u0: Array | None,
    firing: Firing,
) -> tuple[Array, Array | None, Array, Array]:
    """BPTT of `mlif_forward`, whose spikes are s: (go, gw, galpha, gu0).

    As `lif_backward`, with g taken at alpha * h - v_threshold:
    gtotal = gs[t] + gu[t] * du/ds          (detach_reset: without the second term)
    gc[t] = gtotal * g * alpha + gu[t] * du/dh
    galpha += sum gtotal * g * h;  go[t] = gc[t] * w;  gw += gc[t] * o[t] (summed over what w broadcasts over)
    """
    xp = array_module(o)
    dtype = alpha.dtype
    charged = []
    u = xp.zeros(o.shape[1:], dtype) if u0 is None else u0
    for t in range(len(o)):
        h = firing.decay * u + (o[t] if w is None else o[t] * w)
        charged.append(h)
        u = reset(h, s[t], firing)
    go = xp.empty(o.shape, dtype)
    galpha = xp.zeros((), np.float64)
    gw = None if w is None else xp.zeros(w.shape, np.float64)
    gu = xp.zeros(o.shape[1:], dtype) if gu is None else gu
    for t in reversed(range(len(o))):
        h = charged.pop()
        by_h, by_s = reset_slopes(h, s[t], firing)
        gtotal = gs[t] if firing.detach_reset else gs[t] + gu * by_s
        gfire = gtotal * firing.surrogate.derivative(alpha * h - firing.v_threshold)
        gc = gfire * alpha + gu * by_h
        galpha += (gfire * h).sum(dtype=np.float64)
        go[t] = gc if w is None else gc * w
        if w is not None:
            gw += sum_to(gc * o[t], w.shape)
        gu = firing.decay * gc
    return go, None if gw is None else gw.astype(dtype), galpha.astype(dtype), gu
