"""What operations ask of their settings and inputs, with errors that say what was found."""

import math

import numpy as np

from snncore.backend import Array
from snncore.given import is_integer


def pair(name: str, value: int | tuple[int, int], least: int = 1) -> tuple[int, int]:
    """Return (vertical, horizontal) for a number or a pair; raises ValueError for anything else or below `least`."""
    both = value if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or any(not is_integer(n) or n < least for n in both):
        raise ValueError(f"{name}: expected an integer of at least {least}, or two of them, found {value!r}")
    return int(both[0]), int(both[1])


def one_axis(owner: str, axis: int) -> int:
    """Return the number of an axis; raises ValueError for anything but one integer."""
    if not is_integer(axis):
        raise ValueError(f"{owner}: expected the number of one axis, found {axis!r}")
    return int(axis)


def check_sizes(owner: str, **sizes: int) -> None:
    """Raise ValueError unless every size is an integer of at least 1."""
    for name, n in sizes.items():
        if not is_integer(n) or n < 1:
            raise ValueError(f"{owner}: expected {name}, an integer of at least 1, found {n!r}")


def check_float(owner: str, **arrays: Array) -> None:
    """Raise TypeError unless every array is floating point."""
    for name, x in arrays.items():
        if x.dtype.kind != "f":
            raise TypeError(f"{owner}: expected {name} to be floating point, found {x.dtype} of shape {x.shape}")


def as_float(x: Array, beside: Array) -> Array:
    """Return x if it is floating point, else as the float type of the array `beside` it, or as float32."""
    return x if x.dtype.kind == "f" else x.astype(beside.dtype if beside.dtype.kind == "f" else np.float32)


def check_shape(owner: str, shape: tuple[int, ...], **arrays: Array | None) -> None:
    """Raise ValueError unless every array that is given has `shape`; nothing is broadcast in silence."""
    for name, x in arrays.items():
        if x is not None and x.shape != shape:
            raise ValueError(f"{owner}: expected {name} of shape {shape}, found {x.shape}")


def check_broadcasts(owner: str, shape: tuple[int, ...], **arrays: Array | None) -> None:
    """Raise TypeError or ValueError unless every array that is given is floating point and broadcasts to `shape`."""
    for name, x in arrays.items():
        if x is None:
            continue
        check_float(owner, **{name: x})
        behind = shape[len(shape) - x.ndim :]
        if x.ndim > len(shape) or any(n not in (1, m) for n, m in zip(x.shape, behind, strict=True)):
            raise ValueError(f"{owner}: expected {name} that broadcasts to {shape}, found {x.shape}")


def check_window(owner: str, x: Array, w: Array, padding: tuple[int, int], dilation: tuple[int, int] = (1, 1)) -> None:
    """Raise ValueError unless the window of w [kh, kw, ...] fits padded images x [..., H, W, C].

    dilation: how far its taps are apart. There may be no images, but not images without pixels or channels.
    """
    kernel = w.shape[:2]
    if 0 in x.shape[-3:] or 0 in w.shape:
        raise ValueError(f"{owner}: expected x and w with pixels, taps and channels, found x {x.shape} and w {w.shape}")
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if any(n + 2 * p < span for n, p, span in zip(x.shape[-3:-1], padding, spans, strict=True)):
        apart = "" if dilation == (1, 1) else f" with a dilation of {dilation}"
        raise ValueError(f"{owner}: a window of {kernel}{apart} does not fit x {x.shape} padded by {padding}")


def as_images(x: Array) -> Array:
    """Return x [..., H, W, C] as [M, H, W, C], also where M is 0."""
    return x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])


def check_one(owner: str, **numbers: Array) -> None:
    """Raise TypeError or ValueError unless every array is floating point and has one entry."""
    check_float(owner, **numbers)
    for name, x in numbers.items():
        if x.size != 1:
            raise ValueError(f"{owner}: expected {name} of one entry, found shape {x.shape}")


def check_currents(owner: str, c: Array, **membranes: Array | None) -> None:
    """Raise TypeError or ValueError unless c is float [T, ...], T >= 1, and every membrane given is [...]."""
    check_float(owner, c=c)
    if c.ndim == 0 or len(c) == 0:
        raise ValueError(f"{owner}: expected c [T, ...] with at least one timestep, found {c.shape}")
    check_shape(owner, c.shape[1:], **membranes)
