"""Training that a launcher started as several processes: who speaks and writes, who is refused, how a job ends."""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from misnet.datasets import DataError
from misnet.models.config import ConfigError
from misnet.tools.toolkit import DATA, STOPPED, USAGE, UsageError, device_of
from misnet.training import witness
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
WITNESS = Path(witness.__file__)
GRACE = 1.0  # seconds that other ranks wait before they speak: what all found is said once, by rank 0
SAID = (UsageError, ConfigError, BackendError, DataError, CheckpointError, Diverged, CommError, OSError)


class Silent(Journal):
    """The journal of a rank that says and writes nothing."""

    def log(self, line: str, result: bool = False) -> None:
        """Say nothing."""

    def warn(self, line: str) -> None:
        """Say nothing."""

    def curves(self, rows: Any, heads: Any) -> None:
        """Draw nothing."""

    def weights(self, epoch: int, model: Any) -> None:
        """Write nothing."""


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
    """Starts a process (`witness`) on each host that looks, while a job trains, whether all ranks of the host live.

    It names one that ends without a word, and ends the others. Where a system has no handles of processes (pidfd:
    Linux), that is left to the launcher. A rank that fails with an error says so itself.
    """

    def __init__(self, comm: Comm, folder: Path) -> None:
        self.comm, self.folder = comm, folder
        self.places: list[tuple[int, str]] = comm.exchange((os.getpid(), socket.gethostname()))
        self.witness: subprocess.Popen | None = None

    def describe(self) -> str:
        """Return which process each rank is: a launcher names a process by its number."""
        return ", ".join(f"rank {rank} is process {pid} on {host}" for rank, (pid, host) in enumerate(self.places))

    def __enter__(self) -> "Watch":
        if self.comm.size > 1 and self.comm.local_rank == 0 and hasattr(os, "pidfd_open"):
            host = self.places[self.comm.rank][1]
            pids = [f"{rank}:{pid}" for rank, (pid, other) in enumerate(self.places) if other == host]
            log = str((self.folder / "run.log").absolute())
            with contextlib.suppress(OSError):  # no room for another process: the launcher is left
                self.witness = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(WITNESS), log, host, str(self.comm.size), *pids],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,  # what ends the ranks does not end it
                )
        return self

    def __exit__(self, *_: Any) -> None:
        if self.witness is not None and self.witness.stdin is not None:
            with contextlib.suppress(OSError):
                self.witness.stdin.write(b".")
                self.witness.stdin.close()
            self.witness.wait()


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
