"""The settings of a neuron as the kernels take them; they stand for `Neuron` of common.cuh."""

from snncore.firing import Firing


def constants(firing: Firing) -> tuple[float, float, bool, float]:
    """Return (decay, v_threshold, hard reset?, v_reset)."""
    return float(firing.decay), float(firing.v_threshold), firing.v_reset is not None, float(firing.v_reset or 0)
