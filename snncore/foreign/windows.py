"""Windows over one, two or three axes of pixels: which pixel each of them holds, exactly at the borders."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["adaptive", "flat", "numbers", "outer", "parts", "reached", "spread", "zeros_met"]


def numbers(v: Any, axes: int) -> tuple[int, ...]:
    """A setting of a layer, one number or one for each of its axes, as one for each."""
    each = (v,) if isinstance(v, int) else tuple(int(n) for n in v)
    return each * axes if len(each) == 1 else each


def flat(x: np.ndarray, axes: int) -> np.ndarray:
    """[.., C, (D,) (H,) W] with channels last and all of its `axes` axes of pixels in one: [.., P, 1, C]."""
    *rest, channels = x.shape[: x.ndim - axes]
    return np.moveaxis(x, x.ndim - axes - 1, -1).reshape(*rest, -1, 1, channels)


def reached(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> np.ndarray:
    """Which of `size` entries each tap of each of `out` windows meets: int64 [kernel, out, size] of 0 and 1."""
    place = np.arange(out) * stride + np.arange(kernel)[:, None] * dilation - padding  # [kernel, out]
    return (place[..., None] == np.arange(size)).astype(np.int64)


def spread(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> np.ndarray:
    """Which of `out` entries each tap of each of `size` inputs of a transposed layer lands on: [kernel, out, size]."""
    return reached(out, size, kernel, stride, padding, dilation).transpose(0, 2, 1)


def adaptive(size: int, out: int) -> np.ndarray:
    """Windows of PyTorch's adaptive pooling, from floor(i n / m) to ceil((i + 1) n / m): int64 [1, out, size]."""
    i = np.arange(out)[:, None]
    places = np.arange(size)
    return ((i * size // out <= places) & (places < -((i + 1) * size // -out))).astype(np.int64)[None]


def parts(sides: Sequence[np.ndarray]) -> tuple[np.ndarray, int]:
    """How many windows each pixel lies in, int64 [*pixels], and how many windows there are."""
    return outer([side.sum(axis=(0, 1)) for side in sides]), int(np.prod([side.shape[1] for side in sides]))


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
        zeros = np.moveaxis(np.tensordot(side.sum(axis=1), zeros, (0, axis)), 0, axis)
    return zeros
