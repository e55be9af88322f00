"""Whether weights are ordinary numbers: one pass over their bits, which costs little beside a convolution."""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled

__all__ = ["are_finite"]

LARGEST = np.float32(1e30)  # above it sums and transforms may overflow where the reference does not
CHUNK = 1 << 14
SIGNLESS = np.uint32(0x7FFFFFFF)


@compiled(parallel=True)
def largest_bits(bits, largest):
    """By chunk of `CHUNK`, the largest magnitude of the float32 numbers with these bits, as bits itself."""
    for chunk in prange(len(largest)):
        most = np.uint32(0)
        part = bits[chunk * CHUNK : (chunk + 1) * CHUNK]
        for i in range(len(part)):
            most = max(most, part[i] & SIGNLESS)  # magnitudes are ordered as their bits are; NaN is above all
        largest[chunk] = most


def are_finite(w: np.ndarray) -> bool:
    """Whether no entry of w, float32, is NaN, infinite or above 1e30."""
    bits = np.ascontiguousarray(w).reshape(-1).view(np.uint32)
    largest = np.zeros(-(-bits.size // CHUNK), np.uint32)
    largest_bits(bits, largest)
    return bool(largest.max(initial=0) <= LARGEST.view(np.uint32))
