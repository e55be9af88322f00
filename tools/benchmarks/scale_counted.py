"""What the ranks of a measured step say to each other: how much, and how long that takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        self.seconds = self.processor = 0.0  # by the clock, and of this process
        self.first = self.last = 0.0  # when a sum was first begun, and first waited for

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add what the block takes."""
        began, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - began
        self.processor += time.process_time() - processor

    def _note(self, call: Callable[[Any], None], x: Any) -> None:
        with self.timed():
            call(x)
        self.sizes.append(x.nbytes)

    def sum(self, x: Any) -> None:
        """Add up x."""
        self._note(self.comm.sum, x)

    def begin_sum(self, x: Any) -> Begun:
        """Begin to add up x, beside what else is done."""
        self.first = self.first or time.perf_counter()
        with self.timed():
            begun = self.comm.begin_sum(x)
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
        self.comm.last = self.comm.last or time.perf_counter()
        with self.comm.timed():
            self.begun.wait()
