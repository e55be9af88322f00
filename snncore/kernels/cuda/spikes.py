"""Spikes as bytes: the connection that adds, and counting."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.module import THREADS, blocks_for, launch

FOUR = 4  # arrays that are counted by one launch
BYTES = 16  # that a thread takes at once, and that arrays must be aligned to
COUNT_BLOCKS = 1024  # no more than a large GPU holds at once: each adds to the count, one after the other


def _takes(*arrays: Array) -> bool:
    return all(x.dtype == np.uint8 and x.size > 0 and x.flags.c_contiguous and x.data.ptr % BYTES == 0 for x in arrays)


def sew_add(a: Array, s: Array) -> Array:
    """As `reference.sew_add`, sixteen spikes a thread."""
    if not _takes(a, s):
        return reference.sew_add(a, s)
    o = array_module(a).empty(a.shape, np.uint8)
    launch("spikes", "sew_add", blocks_for(a.size, BYTES * THREADS), (THREADS,), a, s, o, np.int64(a.size))
    return o


def count_spikes(s: Array, count: Array) -> None:
    """Add the number of entries of s that are not zero to `count`, uint64 of shape (), and wait for nothing."""
    if not _takes(s):
        count += array_module(s).count_nonzero(s).astype(count.dtype)
        return
    grid = (min(blocks_for(s.size, BYTES * THREADS)[0], COUNT_BLOCKS),)
    launch("spikes", "count_spikes", grid, (THREADS,), s, count, np.int64(s.size))


def count_spikes_of_four(trains: list[Array], counts: Array) -> None:
    """Add the numbers of entries that are not zero, in up to four arrays, to as many of counts, uint64 [k]."""
    if len(trains) < 2 or not _takes(*trains):
        for k, s in enumerate(trains):
            count_spikes(s, counts[k : k + 1].reshape(()))
        return
    sizes = [s.size for s in trains] + [0] * (FOUR - len(trains))
    arrays = trains + trains[:1] * (FOUR - len(trains))
    grid = (min(blocks_for(max(sizes), BYTES * THREADS)[0], COUNT_BLOCKS // len(trains)), len(trains))
    launch("spikes", "count_spikes_of_four", grid, (THREADS,), *arrays, counts, *map(np.int64, sizes))
