"""What every neuron does after firing, and the logistic function."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.firing import Firing


def reset(h: Array, s: Array, firing: Firing) -> Array:
    """Membrane after firing: soft reset (v_reset None) subtracts the threshold, hard reset sets v_reset."""
    v_reset = firing.v_reset
    if v_reset is None:
        return h - s.astype(h.dtype) * firing.v_threshold
    return array_module(h).where(s != 0, v_reset, h) if s.dtype == np.uint8 else h * (1 - s) + v_reset * s


def reset_slopes(h: Array, s: Array, firing: Firing) -> tuple[Array | float, Array | float]:
    """Derivatives of v = reset(h, s) by h (at fixed s) and by s."""
    if firing.v_reset is None:
        return 1.0, -firing.v_threshold
    return 1 - s.astype(h.dtype), firing.v_reset - h


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    xp = array_module(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, e) / (1 + e)
