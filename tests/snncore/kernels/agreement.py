"""How far a fast kernel may be from the reference."""

import numpy as np


def assert_agrees(found, expected, bound):
    """Fail unless every entry is within `bound` of the expected one, relative to the largest magnitude expected."""
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    scale = np.abs(expected).max(initial=0) or 1.0
    with np.errstate(invalid="ignore"):
        worst = np.abs(found.astype(np.float64) - expected).max(initial=0) / scale
    assert worst <= bound, f"off by {worst:.2e} of the largest entry, allowed {bound:.0e}"
