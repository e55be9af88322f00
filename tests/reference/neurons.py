"""Spiking neurons step by step on the scalar tape, straight from their equations.

Currents and states are object arrays of scalars (see `scalar_tape.scalars`), time first. `slope(x)` stands in for the
derivative of the step at the distance x from the threshold.
"""

import math

import numpy as np

from tests.reference.scalar_tape import Scalar, scalars, sigmoid, step

_sigmoid = np.vectorize(sigmoid, otypes=[object])
_detach = np.vectorize(Scalar.detach, otypes=[object])


def sigmoid_slope(k):
    """Slope of the logistic step 1 / (1 + exp(-k x))."""

    def slope(x):
        p = 1 / (1 + math.exp(-k * x))
        return k * p * (1 - p)

    return slope


def arctan_slope(k):
    """Slope of the arc tangent step atan(pi/2 k x) / pi + 1/2."""
    return lambda x: k / 2 / (1 + (math.pi / 2 * k * x) ** 2)


def fire(x, slope):
    return np.vectorize(lambda e: step(e, slope), otypes=[object])(x)


def reset(h, s, reset_by, v_reset, detach_reset):
    """v = h - reset_by * s (soft), or v_reset where s = 1 (hard)."""
    if detach_reset:
        # The slope of the reset by h stays; only the way through the spike is cut.
        s = _detach(s)
    return h - s * reset_by if v_reset is None else h * (1.0 - s) + s * v_reset


def lif(c, slope, decay, v_threshold, v_reset=None, detach_reset=False, v0=0.0, reset_by=None):
    """Eq. 2: charge U[t] = decay U[t-1] + C[t], fire at U >= V_t, reset. Returns (s [T, ...], v[T]).

    reset_by: what a soft reset subtracts, by default the threshold.
    """
    v, spikes = v0, []
    for current in c:
        h = decay * v + current
        s = fire(h - v_threshold, slope)
        v = reset(h, s, v_threshold if reset_by is None else reset_by, v_reset, detach_reset)
        spikes.append(s)
    return np.array(spikes), v


def plif(c, w, slope, **settings):
    """LIF with 1 / tau = sigmoid(w), w one scalar (Fang et al. 2021). Returns (s, v[T])."""
    return lif(c, slope, decay=1 - sigmoid(w), **settings)


def clif(c, slope, tau, v_threshold, detach_reset=False, v0=0.0, m0=None):
    """LIF whose reset is deepened by the complementary potential m (Huang et al. 2024). Returns (s, v[T], m[T])."""
    v, m, spikes = v0, scalars(np.zeros(c.shape[1:])) if m0 is None else m0, []
    for current in c:
        h = (1 - 1 / tau) * v + current
        s = fire(h - v_threshold, slope)
        m = m * _sigmoid(h / tau) + s
        v = h - (_detach(s) if detach_reset else s) * (v_threshold + _sigmoid(m))
        spikes.append(s)
    return np.array(spikes), v, m


def mlif(o, alpha, w, slope, decay, v_threshold, v_reset=None, detach_reset=False, u=None):
    """Eqs. 5 to 11, with o, alpha, w and u dicts of the modalities "a" and "v". Returns dicts (s, u[T])."""
    u = dict.fromkeys("av", 0.0) if u is None else dict(u)
    spikes = {"a": [], "v": []}
    for t in range(len(o["a"])):
        for m in "av":
            u[m] = decay * u[m] + o[m][t] * w[m]  # multimodal charge, Eqs. 5 and 6
        fused = np.concatenate([np.ravel(u["v"] * alpha["v"]), np.ravel(u["a"] * alpha["a"])])  # Eq. 7
        fired = fire(fused - v_threshold, slope)  # Eq. 8
        ends = o["v"][t].size
        split = {"v": fired[:ends], "a": fired[ends:]}  # Eq. 9
        for m in "av":
            s = split[m].reshape(o[m][t].shape)
            u[m] = reset(u[m], s, v_threshold, v_reset, detach_reset)  # Eq. 10
            spikes[m].append(s)
    return {m: np.array(s) for m, s in spikes.items()}, u


def backpropagate(outputs, gradients):
    """Run the tape back from arrays of scalars whose gradients are given (None: zero)."""
    terms = [
        y * float(g)
        for out, grad in zip(outputs, gradients, strict=True)
        if grad is not None
        for y, g in zip(np.ravel(out), np.ravel(grad), strict=True)
    ]
    Scalar(sum(t.value for t in terms), [(t, 1.0) for t in terms]).backward()
