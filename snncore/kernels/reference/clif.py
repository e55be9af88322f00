"""CLIF: forward over T timesteps and backpropagation through time."""

from snncore.backend import Array, array_module
from snncore.firing import Firing
from snncore.kernels.reference.membrane import sigmoid
from snncore.surrogate import fire, spike_dtype


def clif_forward(c: Array, v0: Array | None, m0: Array | None, firing: Firing) -> tuple[Array, Array, Array]:
    """LIF with a complementary potential m that deepens the reset; see `snncore.functions.clif`. Returns (s, v, m)."""
    xp = array_module(c)
    s = xp.empty(c.shape, spike_dtype(c))
    v = xp.zeros_like(c[0]) if v0 is None else v0
    m = xp.zeros_like(c[0]) if m0 is None else m0
    rate = 1 - firing.decay  # 1 / tau
    for t in range(len(c)):
        h = firing.decay * v + c[t]
        s[t] = fire(h - firing.v_threshold, firing.surrogate)
        m = m * sigmoid(h * rate) + s[t]
        v = h - s[t] * (firing.v_threshold + sigmoid(m))
    return s, v, m


def clif_backward(
    gs: Array,
    gv: Array | None,
    gm: Array | None,
    c: Array,
    s: Array,
    v0: Array | None,
    m0: Array | None,
    firing: Firing,
) -> tuple[Array, Array, Array]:
    """BPTT of `clif_forward`, whose spikes are s: (gc, gv0, gm0), with a = sigmoid(h / tau) and r = sigmoid(m).

    gm[t] -= gv[t] * s[t] * r * (1 - r)
    gtotal = gs[t] + gm[t] - gv[t] * (v_threshold + r)   (detach_reset: without the last term)
    gc[t] = gtotal * g + gv[t] + gm[t] * m[t-1] * a * (1 - a) / tau
    gv[t-1] = decay * gc[t];  gm[t-1] = gm[t] * a
    """
    xp = array_module(c)
    steps = []
    v = xp.zeros_like(c[0]) if v0 is None else v0
    m = xp.zeros_like(c[0]) if m0 is None else m0
    v_threshold, rate = firing.v_threshold, 1 - firing.decay
    for t in range(len(c)):
        h = firing.decay * v + c[t]
        a, before = sigmoid(h * rate), m
        m = m * a + s[t]
        r = sigmoid(m)
        v = h - s[t] * (v_threshold + r)
        steps.append((h, a, before, r))
    gc = xp.empty_like(c)
    gv = xp.zeros_like(c[0]) if gv is None else gv
    gm = xp.zeros_like(c[0]) if gm is None else gm
    for t in reversed(range(len(c))):
        h, a, before, r = steps.pop()
        gm = gm - gv * s[t] * r * (1 - r)
        gtotal = gs[t] + gm if firing.detach_reset else gs[t] + gm - gv * (v_threshold + r)
        gc[t] = gtotal * firing.surrogate.derivative(h - v_threshold) + gv + gm * before * a * (1 - a) * rate
        gv, gm = firing.decay * gc[t], gm * a
    return gc, gv, gm
