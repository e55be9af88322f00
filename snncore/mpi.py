"""Ranks over MPI, by mpi4py."""

import os
import pickle
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np

from snncore.backend import Array, array_module, asnumpy
from snncore.deadline import limit_of, within
from snncore.parallel import Begun, Comm

__all__ = ["MPIComm", "timeout_of_ranks"]

TIMEOUT = 600.0
"""Seconds that a rank waits for the others, unless SNNCORE_COMM_TIMEOUT says another number."""

ABORT = 5.0
"""Seconds in which MPI must end a job that has failed: it may tell hosts that cannot be reached."""


class MPIComm(Comm):
    """Ranks over MPI. comm: a communicator of mpi4py, duplicated here. timeout: seconds before waiting is an error.

    A rank that waits looks whether the others have come: without pause for a millisecond, then every 0.1 ms, after a
    second every 2 ms, so that more ranks than cores do not hold each other up. Every call is one that can be waited for
    in steps; the few of MPI that are not (start, end, which ranks share a host) have the same limit by
    `snncore.deadline`. Arrays on a GPU go by way of the host (`NCCLComm` does not).
    """

    def __init__(self, comm: Any, timeout: float | None = None) -> None:
        from mpi4py import MPI

        self.timeout = timeout_of_ranks() if timeout is None else timeout
        self.mpi, self.comm = MPI, comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        own, request = comm.Idup()
        self._wait(request, "start")
        self.comm = own
        self.aside, request = own.Idup()  # what is begun there is in no order with the rest
        self._wait(request, "start")
        with within(self.timeout):
            beside = comm.Split_type(MPI.COMM_TYPE_SHARED)
            self.local_rank, self.local_size = beside.Get_rank(), beside.Get_size()
            beside.Free()

    def sum(self, x: Array) -> None:
        self._in_place(x, "sum", lambda y: self.comm.Iallreduce(self.mpi.IN_PLACE, y, op=self.mpi.SUM))

    def begin_sum(self, x: Array) -> Begun:
        if array_module(x) is np and x.flags.c_contiguous and x.size:
            return _Request(self, self.aside.Iallreduce(self.mpi.IN_PLACE, x, op=self.mpi.SUM))
        return super().begin_sum(x)

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
            # in one piece, the end of the line too: other ranks write there, and streams may be unbuffered
            line = f"error: rank {self.rank} of {self.size} on {socket.gethostname()}: {reason}\n"
            print(line, end="", file=sys.stderr, flush=True)
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


class _Request(Begun):
    def __init__(self, comm: MPIComm, request: Any) -> None:
        self.comm, self.request, self.done = comm, request, False

    def test(self) -> bool:
        self.done = self.done or bool(self.request.Test())
        return self.done

    def wait(self) -> None:
        if not self.done:
            self.comm._wait(self.request, "sum of gradients")
            self.done = True


def timeout_of_ranks() -> float:
    """Return the seconds after which waiting for other ranks is an error."""
    return limit_of("SNNCORE_COMM_TIMEOUT", TIMEOUT)
