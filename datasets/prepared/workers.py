"""Running tasks in parallel processes: results as they are finished, none lost when one fails or a stop is asked."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from typing import Any

from misnet.datasets.base import DataError
from snncore.parallel import Comm
from snncore.sharing import hand_out

__all__ = ["run_tasks"]


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    jobs: int,
    stop: Callable[[], bool] = lambda: False,
    comm: Comm | None = None,
) -> Iterator[Any]:
    """Yield `function(*task)` for each task, in the order they are finished.

    jobs: processes; with 1 everything happens in this one, which is easier to debug. `function` and what is in the
    tasks must be picklable otherwise. stop: asked before each task; True ends after those under way.
    When a task raises, those under way are finished and yielded first, then the error is raised. Raises DataError if a
    process died. Workers end by themselves if this process is killed, and leave Ctrl-C to it.
    comm: ranks that share the tasks, each with `jobs` processes; all call this, and all get every result and error.
    """
    if comm is not None and comm.size > 1:
        yield from _on_ranks(comm, function, tasks, jobs, stop)
        return
    if jobs == 1:
        for task in tasks:
            if stop():
                return
            yield function(*task)
        return
    waiting, running, failure = iter(tasks), set[Future](), None
    with _processes(jobs) as pool:
        try:
            while True:
                ending = failure is not None or stop()
                while not ending and len(running) < 2 * jobs and (task := next(waiting, None)) is not None:
                    running.add(pool.submit(function, *task))
                if ending:
                    running = {future for future in running if not future.cancel()}
                if not running:
                    break
                done, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    if (error := future.exception()) is None:
                        yield future.result()
                    else:
                        failure = failure or error
        except BaseException:  # a second Ctrl-C, or the consumer failed: wait for no more than what has begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _raise(failure)


def _on_ranks(
    comm: Comm, function: Callable[..., Any], tasks: Sequence[tuple], jobs: int, stop: Callable[[], bool]
) -> Iterator[Any]:
    failure = None
    with ThreadPoolExecutor(1) if jobs == 1 else _processes(jobs) as pool:
        try:
            # twice as many under way as processes: none waits for the ranks to meet
            for done in hand_out(comm, tasks, lambda task: pool.submit(function, *task), 2 * jobs, stop):
                failure = failure or done.error
                if done.error is None:
                    yield done.result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _raise(failure)


def _raise(failure: BaseException | None) -> None:
    if isinstance(failure, BrokenProcessPool):
        raise DataError("a worker process died, perhaps for want of memory; run the same command again") from failure
    if failure is not None:
        raise failure


@contextmanager
def _processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # spawn: a fork would copy threads and locks of this process in whatever state they are
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker) as pool, _one_thread_each():
        yield pool


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers that start now do their matrix products in one thread, as there are as many workers as are wanted."""
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
