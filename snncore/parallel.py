"""Many processes that train one network: what they do together, by the same calls for one process alone.

A job is started by its launcher, `mpiexec -n 4 python tools/train.py ...` or `srun`; each process is a rank
(`snncore.launcher`). All ranks must make the same calls in the same order. `snncore.mpi` has them over MPI, and
`snncore.nccl` between GPUs; neither is imported before a launcher is found to have started more than one process.
"""

from contextlib import AbstractContextManager
from typing import Any, NamedTuple, NoReturn

import numpy as np

from snncore.backend import Array
from snncore.context import changed

__all__ = ["BUCKET", "Begun", "Comm", "CommError", "Share", "buckets_of", "slice_of"]

BUCKET = 1 << 20
"""Entries of a buffer that are added up at a time: 4 MiB of float32."""


def buckets_of(entries: int, bucket: int | None = None) -> list[slice]:
    """Return where the buckets of a flat array lie."""
    bucket = bucket or BUCKET
    return [slice(start, min(start + bucket, entries)) for start in range(0, entries, bucket)]


class CommError(RuntimeError):
    """The other ranks cannot be reached, or do not answer."""


class Begun:
    """A sum that was begun; this one is done."""

    def test(self) -> bool:
        """Let it go on, and return whether it is done, without waiting."""
        return True

    def wait(self) -> None:
        """Wait until it is done."""


class _Later(Begun):
    """A sum of which nothing is done before somebody waits for it."""

    def __init__(self, comm: "Comm", x: Array) -> None:
        self.comm, self.x = comm, x

    def wait(self) -> None:
        self.comm.sum(self.x)


class Comm:
    """What ranks do together; this class is one rank alone, for whom there is nothing to do.

    rank: of this process, from 0. size: how many there are. local_rank, local_size: the same among those of this host.
    overlaps: whether gradients are added up while backward goes on (`snncore.overlap`). one_queue: whether the sums
    that were begun must stand in one order with everything else that the ranks do together.
    """

    overlaps, one_queue = True, False

    rank = local_rank = 0
    size = local_size = 1

    def sum(self, x: Array) -> None:
        """Add up x, contiguous float or int64, over all ranks, in place."""

    def begin_sum(self, x: Array) -> Begun:
        """Begin what `sum` does; x is left alone until it is done. Sums are begun in the same order on all ranks.

        What else they do together may come in any order with them, by MPI; by NCCL in the same order.
        """
        return _Later(self, x)

    def max(self, x: Array) -> None:
        """Take the largest of each entry over all ranks, in place."""

    def broadcast(self, x: Array) -> None:
        """Give every rank the x of rank 0, in place."""

    def barrier(self) -> None:
        """Wait until every rank is here."""

    def exchange(self, value: Any) -> list[Any]:
        """Return what every rank gave, by rank: any object that pickle takes."""
        return [value]

    def sum_flat(self, x: Array, bucket: int | None = None) -> None:
        """Add up a long flat array in buckets (of BUCKET entries), in place: what is in flight stays bounded."""
        for place in buckets_of(len(x), bucket) if self.size > 1 else ():
            self.sum(x[place])

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return, for each flag, whether it is set on any rank."""
        if self.size == 1:
            return flags
        found = np.array(flags, np.int64)
        self.max(found)
        return tuple(map(bool, found))

    def fail(self, reason: object, status: int = 1) -> NoReturn:
        """End the whole job, saying which rank and why."""
        raise CommError(str(reason))


class Share(NamedTuple):
    """This rank's part of a batch: samples start to stop of total.

    whole: every rank has the whole batch, which has fewer samples than there are ranks; rank 0's gradient counts.
    synchronised: whether batch norms take their statistics over all ranks.
    """

    comm: Comm = Comm()
    start: int = 0
    stop: int = 1
    total: int = 1
    synchronised: bool = False

    @property
    def here(self) -> int:
        """Samples of this rank."""
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        """Whether every rank has the whole batch."""
        return self.here == self.total

    def shared(self) -> AbstractContextManager[None]:
        """Return the block in which layers that look at a whole batch (batch norm, dropout) know of the other ranks."""
        return changed("share", None if self.whole and not self.synchronised else self)


def slice_of(samples: int, rank: int, size: int) -> slice:
    """Return where the samples of a rank lie in a batch: as even as can be, or all of it for fewer than one a rank."""
    if samples < size:
        return slice(0, samples)
    return slice(samples * rank // size, samples * (rank + 1) // size)
