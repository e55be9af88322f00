"""Backward passes executed scalar by scalar; `n` counts each operation where it happens."""

import numpy as np

from tests.reference.conv import group
from tests.reference.count_layers import places


def conv(n, f, x, w, b, gy):
    """Gradients of a convolution: only those that f.needs."""
    (sy, sx), (ph, pw), (dy, dx) = f.stride, f.padding, f.dilation
    gx, gw = np.zeros(x.shape), np.zeros(w.shape)
    gb = None if b is None else np.zeros(b.shape)
    for place in places(gy):
        *image, i, j, o = place
        for ky, kx, k in places(w[..., 0]):
            row, col, c = i * sy + ky * dy - ph, j * sx + kx * dx - pw, group(o, x, w)[k]
            if not (0 <= row < x.shape[-3] and 0 <= col < x.shape[-2]):
                continue
            v = x[(*image, row, col, c)]
            if f.needs[0]:
                gx[(*image, row, col, c)] += gy[place] * w[ky, kx, k, o]
                n["back_mac"] += 1
            if f.needs[1] and x.dtype.kind == "f":
                gw[ky, kx, k, o] += gy[place] * v
                n["back_mac"] += 1
            elif f.needs[1] and v:
                gw[ky, kx, k, o] += gy[place] * float(v)  # an event: gy is added, as often as it counts
                n["back_ac"] += 1
        if f.needs[2]:
            gb[o] += gy[place]
            n["back_add"] += 1
    return gx, gw, gb


def linear(n, f, x, w, b, gy):
    gx, gw = np.zeros(x.shape), np.zeros(w.shape)
    gb = None if b is None else np.zeros(b.shape)
    for place in places(gy):
        *row, o = place
        for c in range(x.shape[-1]):
            v = x[(*row, c)]
            if f.needs[0]:
                gx[(*row, c)] += gy[place] * w[c, o]
                n["back_mac"] += 1
            if f.needs[1] and x.dtype.kind == "f":
                gw[c, o] += gy[place] * v
                n["back_mac"] += 1
            elif f.needs[1] and v:
                gw[c, o] += gy[place] * float(v)
                n["back_ac"] += 1
        if f.needs[2]:
            gb[o] += gy[place]
            n["back_add"] += 1
    return gx, gw, gb


def lif(n, f, c, v0, gs):
    """BPTT, entry by entry: the forward again, then back in time."""
    gc = np.zeros(c.shape)
    soft = f.firing.v_reset is None
    for place in places(c[0]):
        v, charged, spikes = None if v0 is None else v0[place], [], []
        for t in range(len(c)):
            h = c[(t, *place)]
            if v is not None:
                n["back_mul"] += f.firing.decay != 1
                n["back_add"] += 1
                h = f.firing.decay * v + h
            s = h - f.firing.v_threshold >= 0
            if s and soft:
                n["back_add"] += 1
            v = (h - f.firing.v_threshold if soft else f.firing.v_reset) if s else h
            charged.append(h)
            spikes.append(s)
        gv = 0.0
        for t in reversed(range(len(c))):
            h, s = charged[t], spikes[t]
            total = gs[(t, *place)]
            if not f.firing.detach_reset:
                n["back_add"] += 0 if soft else 1  # v_reset - h
                n["back_mul"] += 1
                n["back_add"] += 1
                total = total + gv * (-f.firing.v_threshold if soft else f.firing.v_reset - h)
            n["back_special"] += 1
            n["back_mul"] += 1
            g = total * f.firing.surrogate.derivative(np.asarray(h - f.firing.v_threshold))
            n["back_mul"] += 0 if soft else 1  # gv * (1 - s)
            n["back_add"] += 1
            g = g + gv * (1 if soft else 1 - s)
            gc[(t, *place)] = g
            if t or v0 is not None:
                n["back_mul"] += f.firing.decay != 1
                gv = f.firing.decay * g
    return gc
