"""Between the engine's layout, channels last, and the one of most other libraries, channels first."""

from typing import Any

from snncore.backend import Array, array_module
from snncore.given import as_array
from snncore.tape import Tensor

__all__ = ["channels_first", "channels_last"]


def channels_last(x: Array) -> Array:
    """Return x [..., C, H, W] as a C-contiguous [..., H, W, C], the layout that everything here takes."""
    x = _images(x, "C, H, W")
    xp = array_module(x)
    return xp.ascontiguousarray(xp.moveaxis(x, -3, -1))


def channels_first(x: Array) -> Array:
    """Return x [..., H, W, C] as a C-contiguous [..., C, H, W]."""
    x = _images(x, "H, W, C")
    xp = array_module(x)
    return xp.ascontiguousarray(xp.moveaxis(x, -1, -3))


def _images(x: Any, axes: str) -> Array:
    """Return x as an array; raises ValueError for less than three axes, TypeError for a Tensor, which has a past."""
    if isinstance(x, Tensor):
        raise TypeError(f"expected an array [..., {axes}], found a {type(x).__name__}; transpose() moves axes of one")
    x = as_array(x)
    if x.ndim < 3:
        raise ValueError(f"expected an array [..., {axes}], found one of shape {x.shape}")
    return x
