"""Counting events in plain array code, for any integer type and for GPU arrays: the definition of right.

An event is an entry that is not zero; of a negative entry the absolute value counts. Counts are int64 on the host.
"""

import numpy as np

from snncore.backend import Array, array_module, asnumpy

__all__ = ["analog_values", "flat_events", "pair_events", "weighted_events"]


def weighted_events(x: Array, weight: np.ndarray) -> np.ndarray:
    """Count the events of each image, with each pixel multiplied by its weight and without.

    x: integers or bool [M, P, C]: images, pixels, channels. weight: int64 [P].
    Returns int64 [2, 4, M], weighted and plain: entries that are 1, entries above 1, the sum of those above 1; and the
    largest entry, which is multiplied by nothing.
    Raises OverflowError if a count might not fit.
    """
    check_it_fits(x, int(weight.max(initial=1)))
    xp = array_module(x)
    size = xp.abs(x.astype(np.int64))
    pixels = [part.sum(axis=-1) for part in (size == 1, size > 1, size * (size > 1))]  # each [M, P]
    largest = size.max(axis=(1, 2)) if size.size else xp.zeros(len(x), np.int64)
    rows = [[*((count * w).sum(axis=-1) for count in pixels), largest] for w in (xp.asarray(weight), 1)]
    return np.array([[asnumpy(row) for row in four] for four in rows], np.int64)


def flat_events(x: Array) -> np.ndarray:
    """Events of x [cells, n]: entries that are 1, entries above 1, the sum of those above 1, the largest entry.

    Returns int64 [4, cells].
    """
    return weighted_events(x[:, None], np.ones(1, np.int64))[1]


def pair_events(a: Array, b: Array) -> np.ndarray:
    """Of a and b, integers [cells, n]: places where both are not zero, entries of both that are not zero, and above 1.

    Returns int64 [3, cells].
    """
    both = asnumpy(((a != 0) & (b != 0)).sum(axis=-1)).astype(np.int64)
    counts = flat_events(a) + flat_events(b)
    return np.stack([both, counts[0] + counts[1], counts[1]])


def analog_values(x: Array) -> np.ndarray:
    """Of floats x [cells, n]: entries not zero, entries that are 1, that are -1, that are below 0; int64 [4, cells]."""
    return np.stack([asnumpy(part.sum(axis=-1)) for part in (x != 0, x == 1, x == -1, x < 0)]).astype(np.int64)


def check_it_fits(x: Array, heaviest: int) -> None:
    """Raise OverflowError if the sum of all entries, with weights up to `heaviest`, may exceed 64 bits."""
    largest = 255 if x.dtype.itemsize == 1 or not x.size else max(int(x.max()), -int(x.min()))
    if x.size * largest * heaviest >= 2**62:
        raise OverflowError(f"counting {x.shape} {x.dtype}: the count may exceed 64 bits; count smaller batches")
