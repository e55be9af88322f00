"""The launcher that started this process, if one did: how many there are, and the ranks that they make."""

import atexit
import os
from collections.abc import Mapping
from typing import Any

from snncore.backend import BackendError
from snncore.deadline import within
from snncore.parallel import Comm

__all__ = ["launched", "without_launcher", "world"]


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
    from snncore.mpi import MPIComm, timeout_of_ranks

    timeout = timeout_of_ranks()
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
