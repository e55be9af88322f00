"""Counting events of spikes, by the kernels that run on them: `reference.count` defines each function."""

import numpy as np

from snncore.backend import Array
from snncore.kernels import kernels_for

__all__ = ["flat_events", "pair_events", "weighted_events"]


def weighted_events(x: Array, weight: np.ndarray) -> np.ndarray:
    """Events of x [M, P, C] with each pixel multiplied by its weight [P] and without: int64 [2, 3, M]."""
    return kernels_for(x).weighted_events(x, weight)


def flat_events(x: Array) -> np.ndarray:
    """Events of x [cells, n]: entries that are 1, entries above 1, the sum of those above 1; int64 [3, cells]."""
    return kernels_for(x).flat_events(x)


def pair_events(a: Array, b: Array) -> np.ndarray:
    """Of a and b [cells, n]: places where both are not zero, entries not zero, entries above 1; int64 [3, cells]."""
    return kernels_for(a, b).pair_events(a, b)
