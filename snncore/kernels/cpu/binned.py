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
    """Sums of each group, out [groups, BINS, C] of zeros; x [P, C], centre [C], at [BINS, C]."""
    positions, channels = x.shape
    for group in prange(len(out)):
        for i in range(group * ROWS, min(positions, (group + 1) * ROWS)):
            for c in range(channels):
                r = np.float64(x[i, c])
                if squared:
                    r = r - centre[c]
                    r = r * r
                for k in range(len(at)):
                    h = (r + at[k, c]) - at[k, c]
                    out[group, k, c] += h
                    r = r - h


def binned_sums(x: np.ndarray, top: np.ndarray, centre: np.ndarray | None = None) -> np.ndarray:
    """Sums as `reference.binned_sums`."""
    if x.dtype != np.float32 or x.size == 0:
        return reference.binned_sums(x, top, centre)
    flat = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    out = np.zeros((-(-len(flat) // ROWS), BINS, flat.shape[1]))
    cut_and_add(flat, top if centre is None else centre, centre is not None, np.stack(anchors(top)), out)
    return out.sum(axis=0)
