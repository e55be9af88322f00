"""What the ranks of a measured step say to each other: how much, and how long that takes."""

import time
from collections.abc import Callable
from typing import Any

from snncore.parallel import Begun, Comm

__all__ = ["Counted"]


class Counted(Comm):
    """Ranks of which each call is noted: sizes in bytes, and seconds, waiting for the others included."""

    def __init__(self, comm: Comm) -> None:
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self.clear()

    def clear(self) -> None:
        """Forget what was noted."""
        self.sizes: list[int] = []  # of what is waited for at once
        self.buckets: list[int] = []  # of what was begun
        self.seconds, self.first, self.last = 0.0, 0.0, 0.0  # first: when it was begun; last: when first waited for

    def _note(self, call: Callable[[Any], None], x: Any) -> None:
        began = time.perf_counter()
        call(x)
        self.seconds += time.perf_counter() - began
        self.sizes.append(x.nbytes)

    def sum(self, x: Any) -> None:
        """Add up x."""
        self._note(self.comm.sum, x)

    def begin_sum(self, x: Any) -> Begun:
        """Begin to add up x, beside what else is done."""
        began = time.perf_counter()
        self.first = self.first or began
        begun = self.comm.begin_sum(x)
        self.seconds += time.perf_counter() - began
        self.buckets.append(x.nbytes)
        return Awaited(self, begun)

    def max(self, x: Any) -> None:
        """Take the largest."""
        self._note(self.comm.max, x)

    def broadcast(self, x: Any) -> None:
        """Give all what rank 0 has."""
        self._note(self.comm.broadcast, x)

    def exchange(self, value: Any) -> list[Any]:
        """Return what every rank gave; its size is not noted."""
        return self.comm.exchange(value)


class Awaited(Begun):
    """A sum that was begun, of which the waiting is timed."""

    def __init__(self, comm: Counted, begun: Begun) -> None:
        self.comm, self.begun = comm, begun

    def test(self) -> bool:
        """Let it go on."""
        return self.begun.test()

    def wait(self) -> None:
        """Wait until it is done."""
        began = time.perf_counter()
        self.comm.last = self.comm.last or began
        self.begun.wait()
        self.comm.seconds += time.perf_counter() - began
