"""Many processes that train one network: MPI on hosts, NCCL between GPUs, and one process alone by the same calls.

A job is started by its launcher, `mpiexec -n 4 python tools/train.py ...` or `srun`; each process is a rank. All ranks
must make the same calls in the same order. Nothing of this module is imported from MPI before `world()` finds that a
launcher started more than one process.
"""

import atexit
import os
import pickle
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple, NoReturn

import numpy as np

from snncore.backend import Array, BackendError, array_module, asnumpy
from snncore.context import changed
from snncore.deadline import Overdue, limit_of, within

__all__ = ["BUCKET", "Comm", "CommError", "MPIComm", "NCCLComm", "Share", "slice_of", "without_launcher", "world"]

BUCKET = 1 << 22  # entries of a buffer that are added up at a time: 16 MiB of float32
TIMEOUT = 600.0
"""Seconds that a rank waits for the others, unless SNNCORE_COMM_TIMEOUT says another number."""

ABORT = 5.0
"""Seconds in which MPI must end a job that has failed: it may tell hosts that cannot be reached."""


class CommError(RuntimeError):
    """The other ranks cannot be reached, or do not answer."""


class Comm:
    """What ranks do together; this class is one rank alone, for whom there is nothing to do.

    rank: of this process, from 0. size: how many there are. local_rank, local_size: the same among those of this host.
    """

    rank = local_rank = 0
    size = local_size = 1

    def sum(self, x: Array) -> None:
        """Add up x, contiguous float or int64, over all ranks, in place."""

    def max(self, x: Array) -> None:
        """Take the largest of each entry over all ranks, in place."""

    def broadcast(self, x: Array) -> None:
        """Give every rank the x of rank 0, in place."""

    def barrier(self) -> None:
        """Wait until every rank is here."""

    def exchange(self, value: Any) -> list[Any]:
        """Return what every rank gave, by rank: any object that pickle takes."""
        return [value]

    def sum_flat(self, x: Array, bucket: int = BUCKET) -> None:
        """Add up a long flat array in buckets, in place: the memory that is in flight stays bounded."""
        for start in range(0, len(x) if self.size > 1 else 0, bucket):
            self.sum(x[start : start + bucket])

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


class MPIComm(Comm):
    """Ranks over MPI. comm: a communicator of mpi4py, duplicated here. timeout: seconds before waiting is an error.

    A rank that waits looks whether the others have come: without pause for a millisecond, then every 0.1 ms, after a
    second every 2 ms, so that more ranks than cores do not hold each other up. Every call is one that can be waited for
    in steps; the few of MPI that are not (start, end, which ranks share a host) have the same limit by
    `snncore.deadline`. Arrays on a GPU go by way of the host (`NCCLComm` does not).
    """

    def __init__(self, comm: Any, timeout: float | None = None) -> None:
        from mpi4py import MPI

        self.timeout = _timeout() if timeout is None else timeout
        self.mpi, self.comm = MPI, comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        own, request = comm.Idup()
        self._wait(request, "start")
        self.comm = own
        with within(self.timeout):
            beside = comm.Split_type(MPI.COMM_TYPE_SHARED)
            self.local_rank, self.local_size = beside.Get_rank(), beside.Get_size()
            beside.Free()

    def sum(self, x: Array) -> None:
        self._in_place(x, "sum", lambda y: self.comm.Iallreduce(self.mpi.IN_PLACE, y, op=self.mpi.SUM))

    def max(self, x: Array) -> None:
        self._in_place(x, "maximum", lambda y: self.comm.Iallreduce(self.mpi.IN_PLACE, y, op=self.mpi.MAX))

    def broadcast(self, x: Array) -> None:
        self._in_place(x, "broadcast", lambda y: self.comm.Ibcast(y, root=0))

    def barrier(self) -> None:
        self._wait(self.comm.Ibarrier(), "barrier")

    def exchange(self, value: Any) -> list[Any]:
        here = np.frombuffer(pickle.dumps(value), np.uint8)
        length, lengths = np.array([len(here)]), np.zeros(self.size, np.int64)
        self._wait(self.comm.Iallgather(length, lengths), "gather")
        found = np.empty(lengths.sum(), np.uint8)
        self._wait(self.comm.Iallgatherv(here, [found, lengths]), "gather")
        ends = np.cumsum(lengths)
        return [pickle.loads(found[end - n : end].tobytes()) for n, end in zip(lengths, ends, strict=True)]

    def fail(self, reason: object, status: int = 1) -> NoReturn:
        with suppress(OSError, ValueError):
            print(f"error: rank {self.rank} of {self.size} on {socket.gethostname()}: {reason}", file=sys.stderr)
            sys.stderr.flush()
        with within(ABORT, quiet=True):
            self.comm.Abort(status)
        os._exit(status)

    def _in_place(self, x: Array, what: str, begin: Callable[[np.ndarray], Any]) -> None:
        if not x.size:
            return
        if array_module(x) is np and x.flags.c_contiguous:
            self._wait(begin(x), what)
            return
        here = np.ascontiguousarray(asnumpy(x))
        self._wait(begin(here), what)
        x[...] = array_module(x).asarray(here)

    def _late(self, what: str, waited: float) -> NoReturn:
        self.fail(f"waited {waited:.0f} s for the other ranks (in a {what}): one of them hangs or is cut off")

    def _wait(self, request: Any, what: str) -> None:
        began, patient = time.monotonic(), False
        while not request.Test():
            waited = time.monotonic() - began
            if waited > self.timeout:
                self._late(what, waited)
            patient = patient or waited > 1e-3
            if patient:
                time.sleep(1e-4 if waited < 1 else 2e-3)


class NCCLComm(MPIComm):
    """Ranks whose arrays on GPUs go from card to card by NCCL; arrays of the host go over MPI.

    Each rank must have made its own card the current device. What is told to NCCL runs on the current stream, after
    what was told to it before, and nothing waits on the host; a thread looks whether it is done in time.
    """

    def __init__(self, comm: Any, timeout: float | None = None) -> None:
        super().__init__(comm, timeout)
        from cupyx.distributed import NCCLBackend

        with within(self.timeout):
            self.nccl = NCCLBackend(self.size, self.rank, use_mpi=True)
        self.overdue = Overdue(self.timeout, self._late)

    def _told(self, x: Array, what: str) -> None:
        event = array_module(x).cuda.Event(disable_timing=True)
        event.record()
        self.overdue.add(what, event)

    def sum(self, x: Array) -> None:
        if array_module(x) is np:
            super().sum(x)
        elif x.size:
            self.nccl.all_reduce(x, x, op="sum")
            self._told(x, "sum")

    def max(self, x: Array) -> None:
        if array_module(x) is np:
            super().max(x)
        elif x.size:
            self.nccl.all_reduce(x, x, op="max")
            self._told(x, "maximum")

    def broadcast(self, x: Array) -> None:
        if array_module(x) is np:
            super().broadcast(x)
        elif x.size:
            self.nccl.broadcast(x, root=0)
            self._told(x, "broadcast")


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


def _timeout() -> float:
    return limit_of("SNNCORE_COMM_TIMEOUT", TIMEOUT)


def launched() -> int:
    """Return how many processes the launcher says it started: 1 without a launcher."""
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE", "SLURM_STEP_NUM_TASKS"):
        text = os.environ.get(name, "")
        if text.isdigit() and int(text) > 1 and (name != "SLURM_STEP_NUM_TASKS" or "SLURM_PROCID" in os.environ):
            return int(text)
    return 1


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a rank less those that make it one: for a process that it starts to work alone."""
    launchers = ("PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDI_", "HYDRA_", "SLURM_STEP", "SLURM_PROCID", "SLURM_LOCALID")
    return {name: value for name, value in environment.items() if not name.startswith(launchers)}


def world() -> Comm:
    """Return the ranks of this job over MPI; one rank alone, without MPI, if no launcher started more.

    Raises BackendError if a launcher started several and MPI is missing, or does not see them: each would train alone.
    """
    expected = launched()
    if expected == 1:
        return Comm()
    timeout = _timeout()
    try:
        with within(timeout):  # it waits for all processes
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BackendError(
            f"{expected} processes were started together, but MPI cannot be used ({reason}): pip install mpi4py mpich, "
            "or mpi4py alone beside an MPI of the system"
        ) from None
    if (found := MPI.COMM_WORLD.Get_size()) != expected:
        raise BackendError(
            f"{expected} processes were started together, but MPI sees {found}: the launcher is of another MPI than "
            f"{MPI.Get_library_version().split()[0]}; use the mpiexec of that one, or srun --mpi=pmi2 or pmix"
        )
    atexit.register(_finalise, MPI, timeout)
    return MPIComm(MPI.COMM_WORLD, timeout)


def _finalise(mpi: Any, timeout: float) -> None:
    """End MPI, which waits for the other ranks: mpi4py would do it last of all, when nothing can limit it."""
    with within(timeout):
        mpi.Finalize()
