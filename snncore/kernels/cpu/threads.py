"""The threads of parallel kernels: how long they spin, one kernel at a time where two cannot run, and forks.

Numba runs parallel kernels on one of three layers: TBB, OpenMP, or its own `workqueue` where neither is found.

- `workqueue` ends the process if two threads run kernels at once: there, a lock lets one in at a time.
- GNU's OpenMP (`omp` on Linux) ends a forked process that runs a kernel after its parent has: such a call is refused.
"""

import contextlib
import os
import threading
from contextlib import AbstractContextManager

import numba

from snncore.backend import BackendError

__all__ = ["one_at_a_time"]

starting = threading.Lock()
"""Held while anything is done once for the process."""

_nothing: AbstractContextManager = contextlib.nullcontext()
_guard: AbstractContextManager | None = None  # None until the threads of this process have started
_dead = False  # whether this process was forked from one whose threads cannot live on


def one_at_a_time() -> AbstractContextManager:
    """Return what a parallel kernel runs under: a lock with the `workqueue` layer, nothing with the others.

    The first call starts the threads. Raises BackendError if they cannot start, and in a process that was forked after
    GNU OpenMP was used.
    """
    if _dead:
        raise BackendError(
            "compiled kernels cannot run in this process: it was forked from one that had run them, and GNU OpenMP's "
            "threads do not survive a fork; start processes with multiprocessing.get_context('spawn'), or set "
            "NUMBA_THREADING_LAYER=workqueue or SNNCORE_KERNELS=reference before the program starts"
        )
    return _guard or _start()


def _start() -> AbstractContextManager:
    global _guard
    with starting:
        if _guard is None:
            # A thread waits for the next kernel some 30 microseconds, then leaves the core to others. GNU OpenMP reads
            # the variable once, when it is loaded.
            sets = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ)
            if sets:
                os.environ["GOMP_SPINCOUNT"] = "10000"
            try:
                numba.get_num_threads()  # starts them
            except (ValueError, ImportError) as error:  # a layer that is not there, or not so many threads
                names = ("NUMBA_THREADING_LAYER", "NUMBA_NUM_THREADS")
                found = ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
                raise BackendError(
                    f"compiled kernels cannot start their threads: {str(error).splitlines()[0].rstrip('.')}"
                    f"{f' (found {found})' if found else ''}; unset these variables, or set SNNCORE_KERNELS=reference"
                ) from None
            finally:
                if sets:
                    del os.environ["GOMP_SPINCOUNT"]
            _guard = threading.RLock() if numba.threading_layer() == "workqueue" else _nothing
        return _guard


def _is_gnu_openmp() -> bool:
    """Whether parallel kernels, this project's or others', have run on GNU OpenMP."""
    try:
        if numba.threading_layer() != "omp":
            return False
    except ValueError:  # no thread was started
        return False
    from numba.np.ufunc import omppool  # type: ignore[attr-defined]

    return bool(omppool.openmp_vendor == "GNU")


def _after_fork() -> None:
    global _guard, starting, _dead
    starting = threading.Lock()  # a thread of the parent may hold the old ones
    if isinstance(_guard, type(threading.RLock())):
        _guard = threading.RLock()
    _dead = _dead or _is_gnu_openmp()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
