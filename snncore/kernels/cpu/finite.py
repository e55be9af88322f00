"""Whether weights are ordinary numbers."""

import numpy as np

from snncore.kernels.cpu.compiled import compiled

__all__ = ["are_finite"]

LARGEST = np.float32(1e30)  # above it sums and transforms may overflow where the reference does not
MAGNITUDE = np.uint32(0x7FFFFFFF)  # all bits but the sign; as integers, float32 numbers without it keep their order
LIMIT = LARGEST.view(np.uint32)


@compiled()
def largest_bits(words):
    """Largest of words [n], uint32, without their sign. One thread: others take longer to wake up."""
    most = np.uint32(0)
    for word in words:
        most = max(most, word & MAGNITUDE)
    return most


def are_finite(w: np.ndarray) -> bool:
    """Whether no entry of w, float32, is NaN, infinite or above 1e30 in magnitude: the bits of those are larger."""
    return bool(largest_bits(np.ascontiguousarray(w).reshape(-1).view(np.uint32)) <= LIMIT)
