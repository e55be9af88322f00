"""Counting events eight bytes at a time: a byte of a 64-bit word is a lane, and a lane is a small counter."""

import functools
from typing import Any

import numpy as np

from snncore.backend import Array

__all__ = ["BLOCK", "count_pair", "in_words", "weigh_words"]

U = np.uint64
LOW7, ONE, ALL_BUT_ONE = U(0x7F7F7F7F7F7F7F7F), U(0x0101010101010101), U(0xFEFEFEFEFEFEFEFE)
EVEN, FOLD = U(0x00FF00FF00FF00FF), U(0x0001000100010001)
BLOCK = 96  # words added up before the lanes are emptied: 2 * 255 * 96 fits the 16 bits of a pair of lanes


def in_words(*arrays: Array) -> bool:
    """Whether the arrays [cells, n] can be read as 64-bit words."""
    return all(
        isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.flags.c_contiguous and x.shape[-1] % 8 == 0 and x.size
        for x in arrays
    )


def weigh_words(x: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Of x, uint8 [M, P, C] of binary spikes: their number in each image, weight [P] times, and plain; int64 [M, 2].

    None if an entry is above 1. C is a multiple of 8, and at most 8 * BLOCK.
    """
    counts = _compiled()[1](x.view(np.uint64), weight)
    return None if counts[0, 0] < 0 else counts


def count_pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of a and b, uint8 [cells, n]: places where both are not zero, entries that are not zero, entries above 1.

    Returns int64 [3, cells].
    """
    return np.ascontiguousarray(_compiled()[0](a.view(np.uint64), b.view(np.uint64)).T)


@functools.cache
def _compiled() -> tuple[Any, Any]:
    import numba as nb

    @nb.njit(cache=True, nogil=True)
    def add_lanes(lanes):  # type: ignore[no-untyped-def]
        pairs = (lanes & EVEN) + ((lanes >> U(8)) & EVEN)
        return np.int64((pairs * FOLD) >> U(48))

    @nb.njit(cache=True, nogil=True)
    def graded_pair(a, b, out):  # type: ignore[no-untyped-def]
        n = len(a)
        for start in range(0, n, BLOCK):
            both, events, graded = U(0), U(0), U(0)
            for k in range(start, min(n, start + BLOCK)):
                x, y = a[k], b[k]
                in_a, in_b = ((((x & LOW7) + LOW7) | x) >> U(7)) & ONE, ((((y & LOW7) + LOW7) | y) >> U(7)) & ONE
                both += in_a & in_b
                events += in_a + in_b
                x, y = x & ALL_BUT_ONE, y & ALL_BUT_ONE
                graded += ((((x & LOW7) + LOW7) | x) >> U(7)) & ONE
                graded += ((((y & LOW7) + LOW7) | y) >> U(7)) & ONE
            out[0] += add_lanes(both)
            out[1] += add_lanes(events)
            out[2] += add_lanes(graded)

    @nb.njit(cache=True, nogil=True)
    def pair(a, b):  # type: ignore[no-untyped-def]
        cells, n = a.shape
        out = np.zeros((cells, 3), np.int64)
        for m in range(cells):
            bits, meet, sums = U(0), np.int64(0), np.int64(0)
            for start in range(0, n, BLOCK):
                both, total = U(0), U(0)
                for k in range(start, min(n, start + BLOCK)):
                    both += a[m, k] & b[m, k]
                    total += a[m, k] + b[m, k]
                    bits |= a[m, k] | b[m, k]
                meet += add_lanes(both)
                sums += add_lanes(total)
            if bits & ALL_BUT_ONE == U(0):
                out[m, 0], out[m, 1] = meet, sums
            else:
                graded_pair(a[m], b[m], out[m])
        return out

    @nb.njit(cache=True, nogil=True)
    def weigh(words, weight):  # type: ignore[no-untyped-def]
        images, pixels, n = words.shape
        out = np.zeros((images, 2), np.int64)
        bits = U(0)
        for m in range(images):
            for p in range(pixels):
                total = U(0)
                for k in range(n):
                    x = words[m, p, k]
                    total += x  # lanes of bytes: at most BLOCK ones in each
                    bits |= x
                events = add_lanes(total)
                out[m, 0] += weight[p] * events
                out[m, 1] += events
            if bits & ALL_BUT_ONE != U(0):
                out[0, 0] = -1
                return out
        return out

    return pair, weigh
