"""Statistics of a batch whose bits depend on no order: neither on the kernels nor on how it is spread over ranks."""

import math
from types import ModuleType

from snncore.backend import Array
from snncore.kernels.reference.batch_norm import Moments
from snncore.kernels.reference.binned import check_entries, mean_of, power_above
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
    comm = share.comm
    entries = math.prod(x.shape[:-1]) * share.total // max(1, share.here)
    check_entries(entries)
    largest = kernels.binned_largest(x)
    comm.max(largest)
    top = power_above(largest)  # what is not finite ends in a NaN, on every rank
    sums = kernels.binned_sums(x, top)
    comm.sum(sums)
    mean = mean_of(sums, entries)
    squares = kernels.binned_sums(x, 4 * top * top, mean)
    comm.sum(squares)
    return Moments(entries, mean, mean_of(squares, entries))
