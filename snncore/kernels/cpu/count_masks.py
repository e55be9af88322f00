"""Counting events 64 bytes at a time: compare them with a level, and count the bits of the mask.

In one thread: an array that fits the caches takes some tens of microseconds, less than what waking others costs.
"""

import numpy as np

from snncore.kernels.cpu.bits import bits_set, bytes_above
from snncore.kernels.cpu.compiled import compiled

__all__ = ["count_flat", "count_pair", "weigh_masks"]

U = np.uint64


def count_flat(x: np.ndarray) -> np.ndarray:
    """Events of x, uint8 [cells, n], as `kernels.count.flat_events`: int64 [4, cells]."""
    counts = np.empty((4, len(x)), np.int64)
    flat(x, counts)
    return counts


def count_pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of a and b, uint8 [cells, n], as `kernels.count.pair_events`: int64 [3, cells]."""
    counts = np.empty((3, len(a)), np.int64)
    pair(a, b, counts)
    return counts


def weigh_masks(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Events of x, uint8 [M, P, C] with C a multiple of 64, as `kernels.count.weighted_events`: int64 [2, 4, M]."""
    counts = np.empty((2, 4, len(x)), np.int64)
    weigh(x, weight, counts)
    return counts


@compiled(inline=True)
def above_one(address, mask):
    """Of 64 bytes: how many are above 1, the sum of what they are above 1, the largest. mask: those above 1, not 0."""
    graded = bits_set(mask)
    above, level = np.int64(0), 1
    while mask != U(0):
        above += bits_set(mask)
        level += 1
        if level == 255:
            break
        mask = bytes_above(address, np.uint8(level))
    return graded, above, level


@compiled()
def flat(x, counts):
    """Write the events of x [cells, n] to counts [4, cells]."""
    cells, n = x.shape
    source = x.ctypes.data
    whole = n - n % 64
    for m in range(cells):
        events, graded, above, largest = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for start in range(0, whole, 64):
            address = source + m * n + start
            events += bits_set(bytes_above(address, np.uint8(0)))
            mask = bytes_above(address, np.uint8(1))
            if mask != U(0):  # rare: binary spikes have none
                more, over, level = above_one(address, mask)
                graded += more
                above += over
                largest = max(largest, level)
        for i in range(whole, n):
            value = np.int64(x[m, i])
            events += value > 0
            graded += value > 1
            above += max(value - 1, 0)
            largest = max(largest, value)
        counts[0, m], counts[1, m], counts[2, m] = events - graded, graded, graded + above
        counts[3, m] = max(largest, np.int64(events > 0))


@compiled()
def pair(a, b, counts):
    """Write the counts of a and b [cells, n] to counts [3, cells]."""
    cells, n = a.shape
    in_a, in_b = a.ctypes.data, b.ctypes.data
    whole = n - n % 64
    for m in range(cells):
        both, events, graded = np.int64(0), np.int64(0), np.int64(0)
        for start in range(0, whole, 64):
            place = m * n + start
            mask_a, mask_b = bytes_above(in_a + place, np.uint8(0)), bytes_above(in_b + place, np.uint8(0))
            both += bits_set(mask_a & mask_b)
            events += bits_set(mask_a) + bits_set(mask_b)
            graded += bits_set(bytes_above(in_a + place, np.uint8(1)))
            graded += bits_set(bytes_above(in_b + place, np.uint8(1)))
        for i in range(whole, n):
            u, v = np.int64(a[m, i]), np.int64(b[m, i])
            both += u > 0 and v > 0
            events += (u > 0) + (v > 0)
            graded += (u > 1) + (v > 1)
        counts[0, m], counts[1, m], counts[2, m] = both, events, graded


@compiled()
def weigh(x, weight, counts):
    """Write the events of x [M, P, C], C a multiple of 64, to counts [2, 4, M], weighted and plain."""
    images, pixels, channels = x.shape
    address = x.ctypes.data
    for m in range(images):
        all_, graded, above = np.int64(0), np.int64(0), np.int64(0)  # each entry its weight
        events, more, over, largest = np.int64(0), np.int64(0), np.int64(0), np.int64(0)  # each entry once
        for p in range(pixels):
            here, here_above_one, here_over = np.int64(0), np.int64(0), np.int64(0)
            for _ in range(0, channels, 64):
                here += bits_set(bytes_above(address, np.uint8(0)))
                mask = bytes_above(address, np.uint8(1))
                if mask != U(0):
                    found, beyond, level = above_one(address, mask)
                    largest = max(largest, level)
                    here_above_one += found
                    here_over += beyond
                address += 64
            all_ += weight[p] * here
            events += here
            if here_above_one:
                graded += weight[p] * here_above_one
                above += weight[p] * here_over
                more += here_above_one
                over += here_over
        counts[0, 0, m], counts[0, 1, m], counts[0, 2, m] = all_ - graded, graded, graded + above
        counts[1, 0, m], counts[1, 1, m], counts[1, 2, m] = events - more, more, more + over
        counts[:, 3, m] = max(largest, np.int64(events > 0))
