"""Whether weights are ordinary numbers."""

import numpy as np

__all__ = ["are_finite"]

LARGEST = np.float32(1e30)  # above it sums and transforms may overflow where the reference does not


def are_finite(w: np.ndarray) -> bool:
    """Whether no entry of w, float32, is NaN, infinite or above 1e30 in magnitude.

    NumPy's two passes: 0.06 ms for 3x3x256x256 on one core. Threads of a compiled kernel take longer to wake up.
    """
    if not w.size:
        return True
    with np.errstate(invalid="ignore"):
        return bool(w.max() <= LARGEST and w.min() >= -LARGEST)  # a NaN is the largest of all, and compares to nothing
