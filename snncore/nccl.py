"""Ranks whose arrays go from GPU to GPU, by NCCL."""

from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.deadline import Overdue, within
from snncore.mpi import MPIComm
from snncore.parallel import Begun

__all__ = ["NCCLComm"]


class NCCLComm(MPIComm):
    """Ranks whose arrays on GPUs go from card to card by NCCL; arrays of the host go over MPI.

    Each rank must have made its own card the current device. What is told to NCCL runs on the current stream, after
    what was told to it before, and nothing waits on the host; a thread looks whether it is done in time. Sums that were
    begun run on a stream of their own: it waits for the current one, and that for it where they are waited for.
    """

    one_queue = True

    def __init__(self, comm: Any, timeout: float | None = None) -> None:
        super().__init__(comm, timeout)
        from cupyx.distributed import NCCLBackend

        with within(self.timeout):
            self.nccl = NCCLBackend(self.size, self.rank, use_mpi=True)
        self.overdue = Overdue(self.timeout, self._late)
        self.stream: Any = None  # of the sums that were begun

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

    def begin_sum(self, x: Array) -> Begun:
        if array_module(x) is np or not x.size:
            return super().begin_sum(x)
        cuda = array_module(x).cuda
        if self.stream is None:
            self.stream = cuda.Stream(non_blocking=True)
        ready, done = (cuda.Event(disable_timing=True) for _ in range(2))
        ready.record()
        self.stream.wait_event(ready)
        self.nccl.all_reduce(x, x, op="sum", stream=self.stream)
        done.record(self.stream)
        self.overdue.add("sum of gradients", done)
        return _OnStream(cuda, done)

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


class _OnStream(Begun):
    def __init__(self, cuda: Any, event: Any) -> None:
        self.cuda, self.event = cuda, event

    def wait(self) -> None:
        self.cuda.get_current_stream().wait_event(self.event)
