"""Training that a launcher started as several processes: who speaks and writes, who is refused, how a job ends."""

import contextlib
import hashlib
import os
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from misnet.datasets import DataError
from misnet.models.config import ConfigError
from misnet.tools.toolkit import DATA, STOPPED, USAGE, UsageError, device_of
from misnet.training.journal import Journal
from misnet.training.machine import machine
from misnet.training.step import Diverged
from snncore import BackendError, CheckpointError
from snncore.backend import cupy_module, memory_message
from snncore.parallel import Comm, CommError, NCCLComm

__all__ = [
    "Silent",
    "Watch",
    "describe_sharing",
    "device_of_rank",
    "job",
    "refuse_strangers",
    "share_cores",
    "synchronises",
]

FEW = 16  # samples of a rank below which its own batch statistics are too noisy to train with (Wu and He 2018, Fig. 1)
SPEAKERS = 2  # ranks of a host that watch: the second is there for the first
GRACE = 1.0  # seconds that other ranks wait before they speak: what all found is said once, by rank 0
SAID = (UsageError, ConfigError, BackendError, DataError, CheckpointError, Diverged, CommError, OSError)


class Silent(Journal):
    """The journal of a rank that says and writes nothing."""

    def note(self, line: str) -> None:
        """Write nothing."""

    def log(self, line: str) -> None:
        """Say nothing."""

    def warn(self, line: str) -> None:
        """Say nothing."""

    def curves(self, rows: Any, heads: Any) -> None:
        """Draw nothing."""


@contextlib.contextmanager
def job(comm: Comm) -> Iterator[None]:
    """End every rank when one of them fails inside the block, with its rank and reason; silence all but rank 0.

    An error that all ranks found is said once. Nothing is changed for one rank alone.
    """
    if comm.size == 1:
        yield
        return
    if comm.rank > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # to the end of the process
    try:
        yield
        comm.barrier()  # a rank that leaves early would be taken for dead
    except SystemExit:  # of --help, or a wrong command line, which is the same on all ranks
        raise
    except BaseException as error:
        if comm.rank > 0:
            time.sleep(GRACE)
        reason, status = _reason(error)
        comm.fail(reason, status)


def _reason(error: BaseException) -> tuple[str, int]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", STOPPED
    if isinstance(error, MemoryError):
        return memory_message(error), DATA
    if isinstance(error, SAID):
        return str(error), USAGE if isinstance(error, UsageError | ConfigError | BackendError) else DATA
    traceback.print_exc()
    return f"{type(error).__name__}: {error}", DATA


def code_digests() -> dict[str, str]:
    """Return a digest of each source file of this program: two ranks with different ones would not do the same."""
    import misnet
    import snncore

    here = Path(__file__).parents[1]
    rooms = {"snncore": Path(snncore.__file__).parent, "misnet": Path(misnet.__file__).parent}
    rooms |= {"misnet.datasets": here / "datasets", "misnet.tools": Path(__file__).parent}
    return {
        f"{room}: {path.relative_to(root)}": hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for room, root in rooms.items()
        for path in sorted(root.rglob("*.py"))
    }


def refuse_strangers(comm: Comm, card: dict[str, Any]) -> None:
    """Raise UsageError, on every rank, unless all have the same code, versions, and `card`, by section and name.

    The message names the first rank that differs, what differs, and both values.
    """
    if comm.size == 1:
        return
    versions = {name: value for name, value in machine().items() if name != "cpu"}
    own = {"code": code_digests(), "versions": versions, **card}
    found = comm.exchange((socket.gethostname(), own))
    (first_host, first), *others = found
    for rank, (host, other) in enumerate(others, 1):
        for section, values in first.items():
            for name in values | other[section]:
                here, there = values.get(name), other[section].get(name)
                if here != there:
                    raise UsageError(
                        f"rank {rank} on {host}: {section}: {name}: found {there!r}, rank 0 on {first_host} has "
                        f"{here!r}; all ranks need the same program, data and options"
                    )


class Watch:
    """Looks, while a job trains, whether the other ranks of this host are alive, and ends the job when one is not.

    A launcher ends a job too, but names no rank; where a system has no handles of processes (pidfd: Linux), it is left
    to the launcher. A rank that fails with an error says so itself. Ranks of other hosts are watched there.
    """

    def __init__(self, comm: Comm, journal: Journal) -> None:
        self.comm, self.journal = comm, journal
        self.places: list[tuple[int, str]] = comm.exchange((os.getpid(), socket.gethostname()))
        self.over = threading.Event()

    def describe(self) -> str:
        """Return which process each rank is: a launcher names a process by its number."""
        return ", ".join(f"rank {rank} is process {pid} on {host}" for rank, (pid, host) in enumerate(self.places))

    def __enter__(self) -> "Watch":
        own = self.places[self.comm.rank]
        beside = [k for k, (_, host) in enumerate(self.places) if host == own[1]]
        if len(beside) > 1 and self.comm.rank in beside[:SPEAKERS] and hasattr(os, "pidfd_open"):
            others = {k: self.places[k][0] for k in beside if k != self.comm.rank}
            threading.Thread(target=self._look, args=(others,), name="ranks", daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()

    def _look(self, others: dict[int, int]) -> None:
        handles: dict[int, int] = {}
        for rank, pid in others.items():
            try:
                handles[os.pidfd_open(pid)] = rank  # type: ignore[attr-defined]
            except ProcessLookupError:
                return self._tell(rank)
            except OSError:  # no more handles, or a kernel without them
                break
        poll = select.poll()
        for handle in handles:
            poll.register(handle, select.POLLIN)
        while not self.over.is_set():
            if ended := poll.poll(200):
                return self._tell(handles[ended[0][0]])

    def _tell(self, rank: int) -> None:
        if self.over.is_set():
            return
        pid, host = self.places[rank]
        line = f"rank {rank} of {self.comm.size} (process {pid} on {host}) has ended: killed, perhaps for its memory"
        with contextlib.suppress(OSError, ValueError):  # at once: the launcher ends this process in a moment
            os.write(2, f"error: {line}; the last checkpoint is whole\n".encode())
            self.journal.note(line)
        time.sleep(GRACE)
        self.comm.fail(line)


def describe_sharing(comm: Comm, batch: int, synchronised: bool) -> str:
    """Return words on how ranks share a batch."""
    norms = "of all ranks together" if synchronised else "of each rank by itself"
    return f"{comm.size} ranks, {batch / comm.size:g} of {batch} samples a step each, batch norm {norms}"


def synchronises(asked: bool | None, batch: int, comm: Comm) -> bool:
    """Whether batch norms are synchronised: as asked, or else with less than 16 samples a rank."""
    return comm.size > 1 and (batch / comm.size < FEW if asked is None else asked)


def device_of_rank(comm: Comm, options: dict[str, Any], device: str) -> tuple[Comm, str]:
    """Return the ranks, over NCCL on GPUs, and the device of this one: cards of a host are dealt out in turn."""
    if comm.size == 1 or device == "cpu":
        return comm, device
    if options["device"] in ("auto", "cuda"):
        cards = cupy_module().cuda.runtime.getDeviceCount()
        device = device_of(f"cuda:{comm.local_rank % cards}", options["memory_limit"], options["tf32"])
    from mpi4py import MPI

    return NCCLComm(MPI.COMM_WORLD), device


def share_cores(comm: Comm) -> int:
    """Let the ranks of a host share its cores, unless a launcher bound them or a variable says how many threads.

    Returns the threads of this rank. Without it every rank would use every core, each in the way of the others.
    """
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bound = free < (os.cpu_count() or 1)
    if comm.local_size == 1 or bound or {"NUMBA_NUM_THREADS", "OMP_NUM_THREADS"} & set(os.environ):
        return free
    import numba
    from threadpoolctl import threadpool_limits

    from snncore.kernels.cpu.threads import one_at_a_time

    threads = max(1, free // comm.local_size)
    with one_at_a_time():  # starts the threads
        numba.set_num_threads(min(threads, numba.get_num_threads()))
    threadpool_limits(threads)
    return threads
