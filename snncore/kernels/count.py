"""Counting events in spike arrays: compiled for bytes on the CPU, plain array code for everything else."""

import functools
from typing import Any

import numpy as np

from snncore.backend import Array, array_module, asnumpy
from snncore.kernels.count_words import count_pair, count_words, in_words

__all__ = ["flat_events", "largest", "pair_events", "weighted_events", "weighted_events_plain"]

CHUNK = 2**24


def weighted_events(x: Array, weight: np.ndarray) -> np.ndarray:
    """Count the events of each image, with each pixel multiplied by its weight and without.

    x: integers or bool [M, P, C]: images, pixels, channels. weight: int64 [P].
    Returns int64 [2, 3, M], weighted and plain: entries that are 1, entries above 1, and the sum of the entries above
    1 (of negative entries the absolute value counts).
    Raises OverflowError if a count might not fit.
    """
    if x.dtype == bool:
        x = x.view("uint8")
    if x.size * 255 * int(weight.max(initial=1)) >= 2**62:
        raise OverflowError(f"counting {x.shape} {x.dtype}: the count may exceed 64 bits; count smaller batches")
    if x.shape[-1] >= CHUNK:  # the compiled loop adds one pixel's channels in 32 bits
        parts = (x[..., i : i + CHUNK - 1].copy() for i in range(0, x.shape[-1], CHUNK - 1))
        return np.sum([weighted_events(part, weight) for part in parts], axis=0)
    if isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.flags.c_contiguous:
        return _compiled()[0](x, weight)
    return weighted_events_plain(x, weight)


def weighted_events_plain(x: Array, weight: np.ndarray) -> np.ndarray:
    """The same in plain array code, for any integer type and for GPU arrays: the definition of right."""
    xp = array_module(x)
    size = xp.abs(x.astype(np.int64))
    pixels = [part.sum(axis=-1) for part in (size == 1, size > 1, size * (size > 1))]  # each [M, P]
    rows = [[(count * w).sum(axis=-1) for count in pixels] for w in (xp.asarray(weight), 1)]
    return np.array([[asnumpy(row) for row in three] for three in rows], np.int64)


def flat_events(x: Array) -> np.ndarray:
    """Events of x [cells, n]: entries that are 1, entries above 1, the sum of those above 1; int64 [3, cells]."""
    if in_words(x) and largest(x) > 1:
        return count_words(x)
    return weighted_events(x[:, None], np.ones(1, np.int64))[1]


def pair_events(a: Array, b: Array) -> np.ndarray:
    """Of a and b, integers [cells, n]: places where both are not zero, entries of both that are not zero, and above 1.

    Returns int64 [3, cells].
    """
    if in_words(a, b):
        return count_pair(a, b)
    both = asnumpy(((a != 0) & (b != 0)).sum(axis=-1)).astype(np.int64)
    counts = flat_events(a) + flat_events(b)
    return np.stack([both, counts[0] + counts[1], counts[1]])


def largest(x: np.ndarray) -> int:
    """Largest entry of a byte array."""
    return int(_compiled()[1](x.reshape(-1)))


@functools.cache
def _compiled() -> tuple[Any, Any]:
    import numba as nb

    @nb.njit(cache=True, nogil=True)
    def most_of(flat):  # type: ignore[no-untyped-def]
        most = np.uint8(0)
        for i in range(flat.size):
            most = max(most, flat[i])
        return most

    @nb.njit(cache=True, nogil=True)
    def add_ones(x, weight, out):  # type: ignore[no-untyped-def]
        images, pixels, channels = x.shape
        for m in range(images):
            for p in range(pixels):
                total = np.uint32(0)
                for c in range(channels):
                    total += x[m, p, c]
                out[0, 0, m] += weight[p] * np.int64(total)
                out[1, 0, m] += np.int64(total)

    @nb.njit(cache=True, nogil=True)
    def add_graded(x, weight, out):  # type: ignore[no-untyped-def]
        images, pixels, channels = x.shape
        for m in range(images):
            for p in range(pixels):
                events, graded, total = np.uint32(0), np.uint32(0), np.uint32(0)
                for c in range(channels):
                    v = x[m, p, c]
                    events += np.uint32(v != 0)
                    graded += np.uint32(v > 1)
                    total += v
                ones = np.int64(events - graded)
                three = (ones, np.int64(graded), np.int64(total) - ones)
                for k in range(3):
                    out[0, k, m] += weight[p] * three[k]
                    out[1, k, m] += three[k]

    def count(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        out = np.zeros((2, 3, len(x)), np.int64)
        if most_of(x.reshape(-1)) > 1:
            add_graded(x, weight, out)
        else:  # binary spikes: one sum, which runs four times as fast
            add_ones(x, weight, out)
        return out

    return count, most_of
