"""Ranks without MPI: threads of one process that hand each other arrays, in the calls of `snncore.parallel.Comm`.

The compiled kernels take one thread at a time (`NUMBA_THREADING_LAYER=workqueue`) or none: use the reference's.
"""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from snncore.backend import array_module, asnumpy
from snncore.parallel import Comm, CommError


class Meeting:
    """Where the threads meet; calls: for each rank, the names and sizes of what it asked for."""

    def __init__(self, size, timeout=60):
        self.held, self.barrier = [None] * size, threading.Barrier(size, timeout=timeout)
        self.calls = [[] for _ in range(size)]


class ThreadComm(Comm):
    def __init__(self, meeting, rank):
        self.meeting, self.rank, self.size = meeting, rank, len(meeting.held)
        self.local_rank, self.local_size = rank, self.size

    def _gather(self, value, *what):
        self.meeting.calls[self.rank].append(what)
        self.meeting.held[self.rank] = value
        self.meeting.barrier.wait()
        values = list(self.meeting.held)
        self.meeting.barrier.wait()
        return values

    def _together(self, x, name, combine):
        parts = self._gather(asnumpy(x).copy(), name, x.size)
        x[...] = array_module(x).asarray(combine(parts).astype(x.dtype))

    def sum(self, x):
        self._together(x, "sum", lambda parts: np.sum(parts, axis=0))

    def max(self, x):
        self._together(x, "max", lambda parts: np.max(parts, axis=0))

    def broadcast(self, x):
        self._together(x, "broadcast", lambda parts: parts[0])

    def barrier(self):
        self._gather(None, "barrier")

    def exchange(self, value):
        return [pickle.loads(x) for x in self._gather(pickle.dumps(value), "exchange")]

    def fail(self, reason, status=1):
        self.meeting.barrier.abort()
        raise CommError(f"rank {self.rank} of {self.size}: {reason}")


def on_ranks(size, work, timeout=60):
    """Return what work(comm) returns on each rank; what one raises is raised here, the first by rank."""
    meeting = Meeting(size, timeout)

    def run(rank):
        try:
            return work(ThreadComm(meeting, rank))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(run, rank) for rank in range(size)]
        wait(futures)
    errors = [error for f in futures if (error := f.exception()) is not None]
    told = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    for error in told or errors:
        raise error
    return [f.result() for f in futures]
