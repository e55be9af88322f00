"""Helpers: processes that compile the kernels of a run while it begins, on cores that would have nothing to do.

    begin  ->  model, optimizer, arithmetic  ->  a helper builds the network, rehearses a step and an evaluation,
               and compiles what was called last first; the run, which computes, comes from the other end

Nothing starts where all kernels are in the cache on disk, on one core, or with several ranks. A helper says nothing and
changes nothing but that cache; it ends with the run, however that ends, since its input then ends.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from misnet.models import registry
from misnet.models.config import ModelConfig
from misnet.models.registry import build, config_class
from misnet.training.memory import noise, step_over_noise
from misnet.training.step import look
from snncore.cores import usable_cores
from snncore.kernels.choice import arithmetic, arithmetic_choice, kernel_choice, runs_compiled
from snncore.optim import OPTIMIZERS

__all__ = ["free_cores", "helped", "rehearsal", "work"]

MOST = 3  # helpers: kernels that take longest would wait for one another anyway
PROGRAM = """
import json, sys
job = json.loads(sys.stdin.readline())
sys.path[:] = job["path"]
from misnet.training.ahead import work
work(job)
"""


def free_cores() -> int:
    """Return how many cores kernels may use beside the one that the run computes on."""
    import numba

    return min(usable_cores(), numba.config.NUMBA_NUM_THREADS) - 1


@contextlib.contextmanager
def helped(model: str, config: ModelConfig, optimizer: str) -> Iterator[None]:
    """Let helpers compile the kernels of a run on the CPU within the block, from the first that is not kept on disk."""
    if kernel_choice() == "reference" or not runs_compiled():
        yield
        return
    from snncore.kernels.cpu.ahead import at_first_miss

    job = {"model": model, "module": registry.MODELS[model].module, "network": config.to_dict(), "optimizer": optimizer}
    job |= {"arithmetic": arithmetic_choice(), "path": sys.path}
    helpers: list[subprocess.Popen] = []
    with at_first_miss(lambda: helpers.extend(_start(job, min(free_cores(), MOST)))):
        try:
            yield
        finally:
            for helper in helpers:
                helper.kill()
                helper.communicate()


def _start(job: Mapping[str, Any], count: int) -> Iterator[subprocess.Popen]:
    """Start helpers; the k-th of n compiles every n-th kernel."""
    for k in range(count):
        with contextlib.suppress(OSError, ValueError, TypeError):  # no room for another process: the run does without
            line = f"{json.dumps({**job, 'turn': [k, count]})}\n".encode()
            helper = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the run
            )
            assert helper.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has died: whoever waits for it sees to what is left of it
                helper.stdin.write(line)
                helper.stdin.flush()
            yield helper


def rehearsal(model: str, config: ModelConfig, optimizer: str) -> list[Any]:
    """Return the kernels that a run calls and the types that they get, in the order of their first calls."""
    from snncore.kernels.cpu.ahead import rehearse

    network = build(model, config)

    def run() -> None:
        step_over_noise(network, 2)
        OPTIMIZERS[optimizer](network.named_parameters(), 1e-3).step()
        streams, labels = noise(network, 2)
        look(network, streams, labels)

    return rehearse(run)


def work(job: Mapping[str, Any]) -> None:
    """Be a helper: compile this one's share of the kernels of a run, and end if the run does."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    from snncore.kernels.cpu.ahead import compile_backwards

    name = job["model"]
    if name not in registry.MODELS:  # one that the program of the run registered
        registry.register(name, job["module"], "")
    with arithmetic(job["arithmetic"]):
        calls = rehearsal(name, config_class(name).from_dict(job["network"]), job["optimizer"])
        k, count = job["turn"]
        compile_backwards(calls[::-1][k::count][::-1])


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)
