"""Making the next batches in a thread while the current one is worked on."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, Protocol

__all__ = ["Prefetch"]


class Batches(Protocol):
    """What is prefetched: `BatchIterator` has it."""

    def __len__(self) -> int: ...

    def epoch(self, number: int, start_batch: int = 0) -> Iterator[Any]:
        """Iterate over the batches of epoch `number` from `start_batch` on."""

    def samples_in(self, batch: int) -> int:
        """Return how many samples a batch has on all ranks."""


class Prefetch:
    """The batches of `batches`, the same ones in the same order, with up to `ahead` of them made in advance.

    One thread makes them, so that nothing that is drawn or decoded depends on who is faster. What it raises is raised
    here, at the batch where it happened. The thread is stopped when the iterator is closed or garbage, or at the end
    of the program, after the batch it is making. Memory: `ahead` + 2 batches.
    Raises ValueError if `ahead` is below 1.
    """

    def __init__(self, batches: Batches, ahead: int = 2):
        if ahead < 1:
            raise ValueError(f"ahead: expected at least 1 batch, found {ahead}")
        self.batches, self.ahead = batches, ahead

    def __len__(self) -> int:
        return len(self.batches)

    def samples_in(self, batch: int) -> int:
        """Return how many samples a batch has on all ranks."""
        return self.batches.samples_in(batch)

    def epoch(self, number: int, start_batch: int = 0) -> Generator[Any, None, None]:
        """Iterate over the batches of epoch `number` from `start_batch` on; raises what `batches` raises."""
        return _ahead_of(self.batches.epoch(number, start_batch), self.ahead)


_END = object()


def _ahead_of(source: Iterator[Any], ahead: int) -> Generator[Any, None, None]:
    ready: queue.Queue = queue.Queue(ahead)
    leaving = threading.Event()

    def make() -> None:
        try:
            for batch in source:
                if not put((batch, None)):
                    return
            put((_END, None))
        except BaseException as error:  # whatever it is, it is the consumer's to see
            put((_END, error))

    def put(item: tuple[Any, BaseException | None]) -> bool:
        """Wait for room, but not for ever: True if the item was taken."""
        while not leaving.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    thread = threading.Thread(target=make, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is _END:
                return
            yield batch
    finally:
        leaving.set()
        thread.join()
