"""Sums whose order does not matter, in one pass. Layout: [P, C], P positions of C channels, rows in groups.

Compiled without any freedom in float operations: (r + a) - a must not become r. The group that a row falls into changes
no bit, so that neither does the number of threads.
"""

import numpy as np
from numba import prange

from snncore.kernels import reference
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.reference.binned import BINS, anchors

ROWS = 1024  # positions of a group


@compiled(parallel=True, exact=True)
def cut_and_add(x, centre, squared, at, out):
    """Sums of each group, out [groups, BINS, C] of zeros; x [P, C], centre [C], at [BINS, C].

    The bins are written out, so that the loop over channels is one of vectors.
    """
    positions, channels = x.shape
    for group in prange(len(out)):
        sum0, sum1, sum2 = out[group, 0], out[group, 1], out[group, 2]
        at0, at1, at2 = at[0], at[1], at[2]
        for i in range(group * ROWS, min(positions, (group + 1) * ROWS)):
            row = x[i]
            for c in range(channels):
                r = np.float64(row[c])
                if squared:
                    r = r - centre[c]
                    r = r * r
                h0 = (r + at0[c]) - at0[c]
                r = r - h0
                h1 = (r + at1[c]) - at1[c]
                r = r - h1
                sum0[c] += h0
                sum1[c] += h1
                sum2[c] += (r + at2[c]) - at2[c]


@compiled(parallel=True, exact=True)
def largest_of_groups(x, out):
    """Largest magnitude of each channel in each group, out [groups, C] of zeros, infinite for a NaN; x [P, C]."""
    positions, channels = x.shape
    for group in prange(len(out)):
        found = out[group]
        for i in range(group * ROWS, min(positions, (group + 1) * ROWS)):
            row = x[i]
            for c in range(channels):
                size = abs(row[c])
                found[c] = found[c] if size <= found[c] else (size if size == size else np.float32(np.inf))


def binned_largest(x: np.ndarray) -> np.ndarray:
    """Largest magnitudes as `reference.binned_largest`."""
    if x.dtype != np.float32 or x.size == 0:
        return reference.binned_largest(x)
    flat = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    out = np.zeros((-(-len(flat) // ROWS), flat.shape[1]), np.float32)
    largest_of_groups(flat, out)
    return out.max(axis=0).astype(np.float64)


def binned_sums(x: np.ndarray, top: np.ndarray, centre: np.ndarray | None = None) -> np.ndarray:
    """Sums as `reference.binned_sums`."""
    if x.dtype != np.float32 or x.size == 0:
        return reference.binned_sums(x, top, centre)
    flat = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    out = np.zeros((-(-len(flat) // ROWS), BINS, flat.shape[1]))
    cut_and_add(flat, top if centre is None else centre, centre is not None, np.stack(anchors(top)), out)
    return out.sum(axis=0)
