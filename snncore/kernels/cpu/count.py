"""Counting events of bytes: by 64-byte masks (`count_masks`), or pixel by pixel."""

import numpy as np

from snncore.kernels import reference
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.count_masks import count_flat, count_pair, weigh_masks
from snncore.kernels.reference.count import check_it_fits

__all__ = ["analog_values", "flat_events", "pair_events", "weighted_events"]

CHUNK = 2**24


def weighted_events(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Events of each image, weighted and plain, as `reference.weighted_events`."""
    if x.dtype == bool:
        x = x.view("uint8")
    if x.dtype != np.uint8 or not x.flags.c_contiguous or x.size == 0:
        return reference.weighted_events(x, weight)
    check_it_fits(x, max(weight.tolist(), default=1))  # of a few entries: NumPy takes ten times as long
    if x.shape[-1] >= CHUNK:  # the compiled loop adds one pixel's channels in 32 bits
        parts = (x[..., i : i + CHUNK - 1].copy() for i in range(0, x.shape[-1], CHUNK - 1))
        every = np.stack([weighted_events(part, weight) for part in parts])  # [parts, 2, 4, M]
        return np.concatenate([every[:, :, :3].sum(axis=0), every[:, :, 3:].max(axis=0)], axis=1)
    if x.shape[-1] % 64 == 0:
        return weigh_masks(x, weight)
    counts = np.zeros((len(x), 2, 4), np.int64)
    count_by_weight(x, weight, counts)
    return np.ascontiguousarray(counts.transpose(1, 2, 0))


def flat_events(x: np.ndarray) -> np.ndarray:
    """Events of x [cells, n], as `reference.flat_events`."""
    if x.dtype == bool:
        x = x.view("uint8")
    if x.dtype != np.uint8 or not x.flags.c_contiguous or x.size == 0:
        return reference.flat_events(x)
    return count_flat(x)


def pair_events(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Events of a and b [cells, n], as `reference.pair_events`."""
    bytes_both = all(x.dtype == np.uint8 and x.flags.c_contiguous and x.size > 0 for x in (a, b))
    return count_pair(a, b) if bytes_both else reference.pair_events(a, b)


def analog_values(x: np.ndarray) -> np.ndarray:
    """Of floats x [cells, n], as `reference.analog_values`."""
    if x.dtype != np.float32 or not x.flags.c_contiguous or x.size == 0:
        return reference.analog_values(x)
    counts = np.empty((4, len(x)), np.int64)
    count_values(x, counts)
    return counts


@compiled()
def count_values(x, counts):
    """Write the counts of x, float32 [cells, n], to counts [4, cells]."""
    cells, n = x.shape
    for m in range(cells):
        there, one, minus, negative = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        for i in range(n):
            v = x[m, i]
            there += np.int32(v != np.float32(0))
            one += np.int32(v == np.float32(1))
            minus += np.int32(v == np.float32(-1))
            negative += np.int32(v < np.float32(0))
        counts[0, m], counts[1, m], counts[2, m], counts[3, m] = there, one, minus, negative


@compiled(inline=True)
def graded_image(x, weight, out):
    """Add the events of x [P, C] to out [2, 4], entry by entry, but for the largest."""
    pixels, channels = x.shape
    for p in range(pixels):
        events, graded, total = np.uint32(0), np.uint32(0), np.uint32(0)
        for c in range(channels):
            v = x[p, c]
            events += np.uint32(v != 0)
            graded += np.uint32(v > 1)
            total += v
        ones = np.int64(events - graded)
        out[0, 0] += weight[p] * ones
        out[0, 1] += weight[p] * np.int64(graded)
        out[0, 2] += weight[p] * (np.int64(total) - ones)
        out[1, 0] += ones
        out[1, 1] += np.int64(graded)
        out[1, 2] += np.int64(total) - ones


@compiled()
def count_by_weight(x, weight, out):
    """Add the events of x, uint8 [M, P, C], to out [M, 2, 4]: weighted and plain."""
    images, pixels, channels = x.shape
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
        out[m, :, 3] = most
        if most <= 1:  # binary spikes, the usual case: the sums are the events
            out[m, 0, 0] += weighted
            out[m, 1, 0] += plain
        else:
            graded_image(x[m], weight, out[m])
