"""Counting events in spike arrays: compiled for bytes on the CPU, plain array code for everything else.

Counts by weight run in one thread: they take a tenth of a millisecond, less than what waking others costs.
"""

import functools
from typing import Any

import numpy as np

from snncore.backend import Array, array_module, asnumpy
from snncore.kernels.count_words import BLOCK, count_pair, in_words, weigh_words

__all__ = ["flat_events", "pair_events", "weighted_events", "weighted_events_plain"]

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
    if in_words(x) and x.shape[-1] <= 8 * BLOCK and (binary := weigh_words(x, weight)) is not None:
        plain = np.zeros((2, 3, len(x)), np.int64)
        plain[:, 0] = binary.T
        return plain
    if isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.flags.c_contiguous:
        counts = _compiled()(x, weight)  # [M, 2, 3]
        return np.ascontiguousarray(counts.transpose(1, 2, 0))
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
    if isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.flags.c_contiguous and x.size:
        from snncore.kernels.cpu.events import count_values  # imports Numba, which takes half a second

        counts = np.empty((3, len(x)), np.int64)
        count_values(x, counts)
        return counts
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


@functools.cache
def _compiled() -> Any:
    import numba as nb

    @nb.njit(cache=True, nogil=True)
    def graded_image(x, weight, out):  # type: ignore[no-untyped-def]
        pixels, channels = x.shape
        for p in range(pixels):
            events, graded, total = np.uint32(0), np.uint32(0), np.uint32(0)
            for c in range(channels):
                v = x[p, c]
                events += np.uint32(v != 0)
                graded += np.uint32(v > 1)
                total += v
            ones = np.int64(events - graded)
            three = (ones, np.int64(graded), np.int64(total) - ones)
            for k in range(3):
                out[0, k] += weight[p] * three[k]
                out[1, k] += three[k]

    @nb.njit(cache=True, nogil=True)
    def count(x, weight):  # type: ignore[no-untyped-def]
        images, pixels, channels = x.shape
        out = np.zeros((images, 2, 3), np.int64)
        for m in range(images):
            weighted, plain, most = np.int64(0), np.int64(0), np.uint8(0)
            for p in range(pixels):
                total = np.uint32(0)
                for c in range(channels):  # two short loops run faster than one that does both
                    total += x[m, p, c]
                for c in range(channels):
                    most = max(most, x[m, p, c])
                weighted += weight[p] * np.int64(total)
                plain += np.int64(total)
            if most <= 1:  # binary spikes, the usual case: the sums are the events
                out[m, 0, 0], out[m, 1, 0] = weighted, plain
            else:
                graded_image(x[m], weight, out[m])
        return out

    return count
