"""Commands that a launcher started as several processes: who speaks, who is refused, how a job ends."""

import argparse
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from misnet.datasets import DataError, Dataset
from misnet.datasets.batching.hang import in_time
from misnet.models.config import ConfigError
from misnet.tools import witness
from misnet.tools.toolkit import DATA, STOPPED, USAGE, UsageError, device_of, progress, said_of
from misnet.training.machine import machine
from misnet.training.step import Diverged
from snncore import BackendError, CheckpointError
from snncore.backend import cupy_module, memory_message
from snncore.cores import usable_cores
from snncore.files import sha256_of
from snncore.nccl import NCCLComm
from snncore.parallel import Comm, CommError

__all__ = [
    "Watch",
    "device_of_rank",
    "job",
    "over_nccl",
    "refuse_other_work",
    "refuse_ranks",
    "refuse_strangers",
    "share_cores",
    "shown_by_first",
    "take_card",
]

WITNESS = Path(witness.__file__)
GRACE = 1.0  # seconds that other ranks wait before they speak: what all found is said once, by rank 0
SAID = (UsageError, ConfigError, BackendError, DataError, CheckpointError, Diverged, CommError, OSError)


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
        said = said_of(error) if isinstance(error, OSError) else str(error)
        return said, USAGE if isinstance(error, UsageError | ConfigError | BackendError) else DATA
    traceback.print_exc()
    return f"{type(error).__name__}: {error}", DATA


def refuse_ranks(comm: Comm, given: dict[str, Any], why: str) -> None:
    """Raise UsageError if several ranks were asked for what one process does; given: options and whether they are."""
    for option, asked in given.items():
        if comm.size > 1 and asked:
            raise UsageError(f"{option}: expected one process, found {comm.size} ranks; {why}")


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


def refuse_other_work(comm: Comm, args: argparse.Namespace, data: Dataset, weights: Path | None = None) -> None:
    """Raise UsageError, on every rank, unless all have the same program, options, data and weights."""
    if comm.size > 1:
        options = {name: str(value) for name, value in vars(args).items()}
        card: dict[str, Any] = {"options": options, "data": {f"{data.name} {data.split}": data.fingerprint()}}
        refuse_strangers(comm, card | ({"weights": {str(weights): sha256_of(weights)}} if weights else {}))


def shown_by_first(comm: Comm, batches: Iterable[Any], total: int, text: str) -> Iterable[Any]:
    """Return the batches of this rank, with a progress bar on the first and a clock where several wait for each."""
    if comm.size > 1:
        batches = in_time(batches, comm, text)
    return batches if comm.rank > 0 else progress(batches, total=total, initial=0, text=text)


class Watch:
    """Starts a process (`witness`) on each host that looks, while a job works, whether all ranks of the host live.

    It names one that ends without a word, and ends the others. Where a system has no handles of processes (pidfd:
    Linux), that is left to the launcher. A rank that fails with an error says so itself.
    log: a file that gets the line too. advice: what the user can do then.
    """

    def __init__(self, comm: Comm, advice: str = "", log: Path | None = None) -> None:
        self.comm, self.advice, self.log = comm, advice, log
        self.places: list[tuple[int, str]] = comm.exchange((os.getpid(), socket.gethostname()))
        self.witness: subprocess.Popen | None = None

    def describe(self) -> str:
        """Return which process each rank is: a launcher names a process by its number."""
        return ", ".join(f"rank {rank} is process {pid} on {host}" for rank, (pid, host) in enumerate(self.places))

    def __enter__(self) -> "Watch":
        if self.comm.size > 1 and self.comm.local_rank == 0 and hasattr(os, "pidfd_open"):
            host = self.places[self.comm.rank][1]
            pids = [f"{rank}:{pid}" for rank, (pid, other) in enumerate(self.places) if other == host]
            log = "" if self.log is None else str(self.log.absolute())
            with contextlib.suppress(OSError):  # no room for another process: the launcher is left
                self.witness = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(WITNESS), log, self.advice, host, str(self.comm.size), *pids],
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


def device_of_rank(comm: Comm, options: dict[str, Any], device: str) -> str:
    """Return the device of this rank, made the current one: cards of a host are dealt out in turn."""
    if comm.size == 1 or device == "cpu" or options.get("device", "auto") not in ("auto", "cuda"):
        return device
    cards = cupy_module().cuda.runtime.getDeviceCount()
    return device_of(f"cuda:{comm.local_rank % cards}", options.get("memory_limit"), options.get("tf32", False))


def take_card(comm: Comm) -> None:
    """Let the processes that this rank starts see one card: those of a host are dealt out in turn."""
    if comm.local_size == 1:
        return
    try:
        count = cupy_module().cuda.runtime.getDeviceCount()
    except (BackendError, RuntimeError):  # no GPU here
        return
    cards = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if "CUDA_VISIBLE_DEVICES" in os.environ else []
    cards = cards or [str(k) for k in range(count)]
    os.environ["CUDA_VISIBLE_DEVICES"] = cards[comm.local_rank % len(cards)]


def over_nccl(comm: Comm, device: str) -> Comm:
    """Return the ranks, over NCCL on GPUs."""
    if comm.size == 1 or device == "cpu":
        return comm
    from mpi4py import MPI

    return NCCLComm(MPI.COMM_WORLD)


def share_cores(comm: Comm) -> int:
    """Let the ranks of a host share its cores, unless a launcher bound them or a variable says how many threads.

    Returns the threads of this rank. Without it every rank would use every core, each in the way of the others.
    """
    free = usable_cores()
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
