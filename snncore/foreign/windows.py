"""Windows over one, two or three axes of pixels: which pixel each of them holds, exactly at the borders."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["adaptive", "covered", "flat", "numbers", "outer", "reached", "spread", "taps_of", "zeros_met"]


def numbers(v: Any, axes: int) -> tuple[int, ...]:
    """A setting of a layer, one number or one for each of its axes, as one for each."""
    each = (v,) if isinstance(v, int) else tuple(int(n) for n in v)
    return each * axes if len(each) == 1 else each


def flat(x: np.ndarray, axes: int) -> np.ndarray:
    """[.., C, (D,) (H,) W] with channels last and all of its `axes` axes of pixels in one: [.., P, 1, C]."""
    *rest, channels = x.shape[: x.ndim - axes]
    return np.moveaxis(x, x.ndim - axes - 1, -1).reshape(*rest, -1, 1, channels)


def _places(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> Iterator[np.ndarray]:
    """For each tap of `out` windows, which of `size` entries it meets, each at most once."""
    for tap in range(kernel):
        place = np.arange(out) * stride + tap * dilation - padding
        yield place[(place >= 0) & (place < size)]


def reached(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> np.ndarray:
    """Which of `size` entries each tap of `out` windows meets: int64 [kernel, size] of 0 and 1."""
    met = np.zeros((kernel, size), np.int64)
    for tap, place in enumerate(_places(size, out, kernel, stride, padding, dilation)):
        met[tap, place] = 1
    return met


def covered(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> np.ndarray:
    """In how many of `out` windows each of `size` entries lies: int64 [1, size]."""
    met = np.zeros((1, size), np.int64)
    for place in _places(size, out, kernel, stride, padding, dilation):
        met[0, place] += 1
    return met


def spread(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> np.ndarray:
    """Whether each tap of each of `size` inputs of a transposed layer lands on one of `out` outputs: [kernel, size]."""
    place = np.arange(size) * stride + np.arange(kernel)[:, None] * dilation - padding
    return ((place >= 0) & (place < out)).astype(np.int64)


def adaptive(size: int, out: int) -> np.ndarray:
    """In how many windows of PyTorch's adaptive pooling each entry lies, from floor(i n / m) to ceil((i + 1) n / m).

    int64 [1, size].
    """
    i, bounds = np.arange(out), np.zeros(size + 1, np.int64)
    np.add.at(bounds, i * size // out, 1)
    np.add.at(bounds, -((i + 1) * size // -out), -1)
    return bounds.cumsum()[None, :size]


def taps_of(sides: Sequence[np.ndarray]) -> np.ndarray:
    """How many windows each pixel lies in: int64 [*pixels]."""
    return outer([side.sum(axis=0) for side in sides])


def outer(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Products of one entry of each of several one-dimensional counts: one axis for each."""
    return functools.reduce(np.multiply.outer, counts)


def zeros_met(zeros: np.ndarray, sides: Sequence[np.ndarray]) -> np.ndarray | None:
    """How many weights of exactly zero each entry of an image meets: int64 [*pixels, Ci], None if none is zero.

    zeros: int64 [*kernel, Ci], weights of zero under a tap for a channel of the input. sides: of each axis, as of
    `reached` or `spread`.
    """
    if not zeros.any():
        return None
    for axis, side in enumerate(sides):
        zeros = np.moveaxis(np.tensordot(side, zeros, (0, axis)), 0, axis)
    return zeros
