"""The settings of a neuron as compiled kernels take them."""

import numpy as np

from snncore.firing import Firing

f32 = np.float32


def constants(firing: Firing) -> tuple[np.float32, np.float32, bool, np.float32]:
    """Return (decay, v_threshold, hard reset?, v_reset): always of the same types, or Numba would compile for each."""
    return f32(firing.decay), f32(firing.v_threshold), firing.v_reset is not None, f32(firing.v_reset or 0)
