"""Kernels compiled before they are called: a rehearsal of the work finds which, and other processes compile them.

Numba's compiler runs in one thread of a process. While one process computes, and compiles what it comes to, another
can compile what will be called last, walking towards it (`compile_backwards`); both share the cache on disk. In a
rehearsal no kernel runs: calls are noted, and the arrays that they were given become zeros, so that whatever follows
from them (lists without events) is in order. Spikes are packed however few they are, since the run may have more.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from snncore.kernels.cpu import cache, packed
from snncore.kernels.cpu.claims import Taken, leaving_taken
from snncore.kernels.cpu.compiled import Kernel

__all__ = ["Call", "at_first_miss", "compile_backwards", "rehearse"]

Call = tuple[Kernel, tuple[Any, ...]]
"""A kernel, and the types of its arguments."""


def rehearse(work: Callable[[], Any]) -> list[Call]:
    """Return the kernels that `work` calls on this machine, in the order of their first calls, without running one.

    All arrays that kernels are given are lost, the weights of a model too. An error of `work`, to which it came because
    nothing was computed, ends the rehearsal.
    """
    called: dict[Call, None] = {}

    def noted(kernel: Kernel, *args: Any) -> int:
        called.setdefault((kernel, tuple(map(kernel.dispatcher.typeof_pyval, args))), None)
        for x in args:
            if isinstance(x, np.ndarray) and x.flags.writeable:
                x.fill(0)
        return 0

    run, least = Kernel.__call__, packed.LEAST
    Kernel.__call__, packed.LEAST = noted, 8  # type: ignore[method-assign, assignment]
    try:
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            work()
    finally:
        Kernel.__call__, packed.LEAST = run, least  # type: ignore[method-assign]
    return list(called)


def compile_backwards(calls: Iterable[Call]) -> int:
    """Compile kernels into the cache, the last first; returns how many are there. Leaves what another compiles."""
    done = 0
    with leaving_taken():
        for kernel, signature in reversed(list(calls)):
            kernel.prepare()
            with contextlib.suppress(Taken):
                kernel.dispatcher.compile(signature)
                done += 1
    return done


@contextlib.contextmanager
def at_first_miss(start: Callable[[], Any]) -> Iterator[None]:
    """Call `start` once, within the block, when a kernel is first found not to be in the cache on disk."""
    before, cache.missed = cache.missed, start
    try:
        yield
    finally:
        cache.missed = before
