"""Counting events eight bytes at a time: a byte of a 64-bit word is a lane, and a lane is a small counter."""

import numpy as np

from snncore.kernels.cpu.compiled import compiled

__all__ = ["BLOCK", "count_pair", "in_words", "weigh_words"]

U = np.uint64
LOW7, ONE, ALL_BUT_ONE = U(0x7F7F7F7F7F7F7F7F), U(0x0101010101010101), U(0xFEFEFEFEFEFEFEFE)
EVEN, FOLD = U(0x00FF00FF00FF00FF), U(0x0001000100010001)
BLOCK = 96  # words added up before the lanes are emptied: 2 * 255 * 96 fits the 16 bits of a pair of lanes


def in_words(*arrays: np.ndarray) -> bool:
    """Whether the arrays [cells, n] can be read as 64-bit words."""
    return all(x.dtype == np.uint8 and x.flags.c_contiguous and x.shape[-1] % 8 == 0 and x.size > 0 for x in arrays)


def weigh_words(x: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Of x, uint8 [M, P, C] of binary spikes: their number in each image, weight [P] times, and plain; int64 [M, 2].

    None if an entry is above 1. C is a multiple of 8, and at most 8 * BLOCK.
    """
    counts = np.zeros((len(x), 2), np.int64)
    return counts if weigh(x.view(np.uint64), weight, counts) else None


def count_pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of a and b, uint8 [cells, n]: places where both are not zero, entries that are not zero, entries above 1.

    Returns int64 [3, cells].
    """
    counts = np.zeros((len(a), 3), np.int64)
    pair(a.view(np.uint64), b.view(np.uint64), counts)
    return np.ascontiguousarray(counts.T)


@compiled(inline=True)
def add_lanes(lanes):
    pairs = (lanes & EVEN) + ((lanes >> U(8)) & EVEN)
    return np.int64((pairs * FOLD) >> U(48))


@compiled(inline=True)
def lanes_not_zero(x):
    """A 1 in each lane of x that is not zero."""
    return ((((x & LOW7) + LOW7) | x) >> U(7)) & ONE


@compiled(inline=True)
def graded_pair(a, b, out):
    """Write the counts of a and b [n], words of any bytes, to out [3]."""
    n = len(a)
    for start in range(0, n, BLOCK):
        both, events, graded = U(0), U(0), U(0)
        for k in range(start, min(n, start + BLOCK)):
            in_a, in_b = lanes_not_zero(a[k]), lanes_not_zero(b[k])
            both += in_a & in_b
            events += in_a + in_b
            graded += lanes_not_zero(a[k] & ALL_BUT_ONE) + lanes_not_zero(b[k] & ALL_BUT_ONE)
        out[0] += add_lanes(both)
        out[1] += add_lanes(events)
        out[2] += add_lanes(graded)


@compiled()
def pair(a, b, out):
    """Add the counts of a and b, words [cells, n], to out [cells, 3]."""
    cells, n = a.shape
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
            out[m, 0] += meet
            out[m, 1] += sums
        else:
            graded_pair(a[m], b[m], out[m])


@compiled()
def weigh(words, weight, out):
    """Add binary spikes, words [M, P, n], to out [M, 2], weighted and plain; returns False if an entry is above 1."""
    images, pixels, n = words.shape
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
            return False
    return True
