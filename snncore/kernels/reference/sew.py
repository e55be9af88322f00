"""The spike-element-wise connection that adds."""

from snncore.backend import Array


def sew_add(a: Array, s: Array) -> Array:
    """o = a + s, of the same type: binary spikes give 0, 1 or 2."""
    return a + s
