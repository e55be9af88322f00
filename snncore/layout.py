"""Between the engine's layout, channels last, and the one of most other libraries, channels first."""

from snncore.backend import Array, array_module

__all__ = ["channels_first", "channels_last"]


def channels_last(x: Array) -> Array:
    """Return x [..., C, H, W] as a C-contiguous [..., H, W, C], the layout that everything here takes."""
    xp = array_module(x)
    return xp.ascontiguousarray(xp.moveaxis(x, -3, -1))


def channels_first(x: Array) -> Array:
    """Return x [..., H, W, C] as a C-contiguous [..., C, H, W]."""
    xp = array_module(x)
    return xp.ascontiguousarray(xp.moveaxis(x, -1, -3))
