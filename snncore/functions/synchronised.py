"""Statistics of a batch whose bits depend on no order: neither on the kernels nor on how it is spread over ranks."""

import math
from types import ModuleType

from snncore.backend import Array, array_module
from snncore.kernels.reference.batch_norm import Moments
from snncore.kernels.reference.binned import ENTRIES
from snncore.parallel import Share

__all__ = ["whole_moments"]


def whole_moments(kernels: ModuleType, x: Array, share: Share) -> Moments:
    """Return the moments of the batch on all ranks, of which x float [..., C] is this rank's part.

        top = the power of two above max |x|;  mean = sum x / n;  var = sum (x - mean)^2 / n

    with n the entries a channel of the whole batch, and both sums by `binned_sums`, which no order changes. Three
    exchanges of C to 3 C numbers; nothing is read by the host.
    Raises ValueError for more than 2^30 entries a channel.
    Source: synchronised statistics as in Peng et al. 2018, "MegDet", Section 3.3.
    """
    xp, comm = array_module(x), share.comm
    entries = math.prod(x.shape[:-1]) * share.total // max(1, share.here)
    if entries > ENTRIES:
        raise ValueError(f"synchronised batch norm: expected at most {ENTRIES} entries a channel, found {entries}")
    largest = kernels.binned_largest(x)
    comm.max(largest)
    top = xp.ldexp(xp.ones_like(largest), xp.frexp(largest)[1])
    top = xp.where(xp.isfinite(largest), top, largest)  # what is not finite ends in a NaN, on every rank

    def whole(sums: Array) -> Array:
        comm.sum(sums)
        return (sums[2] + sums[1] + sums[0]) / max(1, entries)

    mean = whole(kernels.binned_sums(x, top))
    return Moments(entries, mean, whole(kernels.binned_sums(x, 4 * top * top, mean)))
