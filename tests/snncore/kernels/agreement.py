"""How far a fast kernel may be from the reference."""

import numpy as np


def assert_agrees(found, expected, bound, terms=None):
    """Fail unless every entry is within `bound` of the expected one, relative to the largest magnitude expected.

    terms: the same sums over magnitudes, which are what rounding is relative to: for examples that are drawn, a few
    entries may all cancel.
    """
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    scale = np.abs(expected if terms is None else terms).max(initial=0) or 1.0
    with np.errstate(invalid="ignore"):
        worst = np.abs(found.astype(np.float64) - expected).max(initial=0) / scale
    assert worst <= bound, f"off by {worst:.2e} of the largest entry, allowed {bound:.0e}"
