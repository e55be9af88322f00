"""Counting events of spikes, by the kernels that run on them: `reference.count` defines each function."""

from types import ModuleType

import numpy as np

from snncore.backend import Array
from snncore.context import context
from snncore.kernels import kernels_for

__all__ = ["analog_values", "flat_events", "pair_events", "weighted_events"]


def weighted_events(x: Array, weight: np.ndarray) -> np.ndarray:
    """Events of x [M, P, C] with each pixel multiplied by its weight [P] and without: int64 [2, 4, M].

    Of each image what `flat_events` has; the largest entry is multiplied by nothing.
    """
    return _kernels(x).weighted_events(x, weight)


def flat_events(x: Array) -> np.ndarray:
    """Events of x [cells, n]: entries that are 1, entries above 1, the sum of those above 1, the largest entry.

    Returns int64 [4, cells].
    """
    return _kernels(x).flat_events(x)


def pair_events(a: Array, b: Array) -> np.ndarray:
    """Of a and b [cells, n]: places where both are not zero, entries not zero, entries above 1; int64 [3, cells]."""
    return _kernels(a, b).pair_events(a, b)


def analog_values(x: Array) -> np.ndarray:
    """Of floats x [cells, n]: entries not zero, entries that are 1, that are -1, that are below 0; int64 [4, cells]."""
    return _kernels(x).analog_values(x)


def _kernels(*arrays: Array) -> ModuleType:
    """The kernels that run on arrays; in a `count_ops` block those that ran on the first of their type."""
    known, kind = context.counting, type(arrays[0])
    if known is None:
        return kernels_for(*arrays)
    if kind not in known:
        known[kind] = kernels_for(*arrays)
    return known[kind]
