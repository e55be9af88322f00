"""Sums over a batch that are the same, to the last bit, in any order and on any number of machines.

A float64 sum rounds, and rounds differently in another order. Here each entry is cut at fixed places first:

    a_k = 1.5 * 2^30 * top * 2^(-23 k);  h_k = (r_k + a_k) - a_k;  r_0 = x;  r_(k+1) = r_k - h_k

h_k is r_k rounded to a multiple of 2^-22 top 2^(-23 k), and sums of at most 2^30 such numbers are exact in float64.
What is lost is what lies below 2^-69 of `top`, a power of two that no entry exceeds: less than float64 itself rounds.
Source: Demmel and Nguyen 2013, "Fast Reproducible Floating-Point Summation", Algorithms 5 and 6, with the bound known.
"""

import math

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.reference.batch_norm import Moments

BINS = 3
ENTRIES = 1 << 30
"""Entries of a channel, on all machines together, whose sums are exact."""


def anchors(top: Array) -> list[Array]:
    """Return each a_k, [C] float64, for powers of two top [C] float64."""
    return [top * (1.5 * 2.0 ** (30 - 23 * k)) for k in range(BINS)]


def binned_largest(x: Array) -> Array:
    """Return the largest magnitude of each channel, [C] float64: infinite where an entry is NaN, 0 of no entries."""
    xp = array_module(x)
    flat = x.reshape(-1, x.shape[-1])
    if not len(flat):
        return xp.zeros(x.shape[-1], np.float64)
    found = xp.maximum(flat.max(axis=0), -flat.min(axis=0)).astype(np.float64)
    return xp.where(xp.isfinite(found), found, np.inf)


def power_above(largest: Array) -> Array:
    """Return the power of two above each of these magnitudes, [C] float64; what is not finite as it is."""
    xp = array_module(largest)
    top = xp.ldexp(xp.ones_like(largest), xp.frexp(largest)[1])
    return xp.where(xp.isfinite(largest), top, largest)


def mean_of(sums: Array, entries: int) -> Array:
    """Return the mean of n entries a channel from the sums of their parts, [BINS, C]: the smallest first."""
    return (sums[2] + sums[1] + sums[0]) / max(1, entries)


def check_entries(entries: int) -> None:
    """Raise ValueError for more entries a channel than can be summed exactly."""
    if entries > ENTRIES:
        raise ValueError(f"batch norm without an order: expected at most {ENTRIES} entries a channel, found {entries}")


def binned_moments(x: Array) -> Moments:
    """Return the moments of x float [..., C] over all axes but the last, whose bits depend on no order.

        top = the power of two above max |x|;  mean = sum x / n;  var = sum (x - mean)^2 / n

    Raises ValueError for more than 2^30 entries a channel.
    """
    entries = math.prod(x.shape[:-1])
    check_entries(entries)
    top = power_above(binned_largest(x))
    mean = mean_of(binned_sums(x, top), entries)
    return Moments(entries, mean, mean_of(binned_sums(x, 4 * top * top, mean), entries))


def binned_sums(x: Array, top: Array, centre: Array | None = None) -> Array:
    """Return sums of h_k over all axes but the last, [BINS, C] float64; of (x - centre)^2 if there is a centre.

    x: float [..., C], with |x| (or that square) at most top [C] float64, powers of two. centre: [C] float64.
    """
    xp = array_module(x)
    total, at = xp.zeros((BINS, x.shape[-1]), np.float64), anchors(top)
    for part in x.reshape(-1, 1, x.shape[-1]) if x.ndim < 2 else x:  # a timestep at a time, for memory
        r = part.reshape(-1, x.shape[-1]).astype(np.float64)
        if centre is not None:
            r -= centre
            r *= r
        for k in range(BINS):
            h = (r + at[k]) - at[k]
            total[k] += h.sum(axis=0)
            r -= h
    return total
