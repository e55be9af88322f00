"""Streams, events, devices, memory: what `cupy.cuda` and `cupyx` have of them, as far as it is used."""

import contextlib
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.support.double import ledger

DEVICES = 2
_pinned: dict[int, np.ndarray] = weakref.WeakValueDictionary()  # type: ignore[assignment]


class CUDARuntimeError(RuntimeError):
    """As `cupy.cuda.runtime.CUDARuntimeError`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Stream:
    """Copies from pinned memory happen when somebody waits, so that a buffer overwritten too early shows."""

    null: "Stream"

    def __init__(self, non_blocking: bool = False) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.non_blocking = non_blocking
        self.ptr = id(self)

    def takes(self, host: np.ndarray) -> bool:
        """Whether a copy from there can go on by itself."""
        while isinstance(host.base, np.ndarray):
            host = host.base
        return _pinned.get(id(host)) is host

    def later(self, work: Callable[[], None]) -> None:
        """Do it when somebody waits for this stream."""
        self.waiting.append(work)

    def finish(self) -> None:
        """Do all that waits."""
        work, self.waiting = self.waiting, []
        for do in work:
            do()

    def synchronize(self) -> None:
        """The host waits."""
        ledger.event("sync")
        self.finish()

    def record(self, event: "Event | None" = None) -> "Event":
        """Mark where the stream stands."""
        event = event or Event()
        event.stream = self
        return event

    def wait_event(self, event: "Event") -> None:
        """What this stream does from here on comes after the event; the host does not wait."""
        if event.stream is not None:
            event.stream.finish()

    def begin_capture(self, mode: int | None = None) -> None:
        """Record what is launched from here on; copies that wait, syncs and other streams are errors meanwhile."""
        if self is Stream.null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        ledger.begin(self)

    def end_capture(self) -> "Graph":
        """The graph of what was launched."""
        return Graph(*ledger.end())

    def __enter__(self) -> "Stream":
        ledger.current.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        ledger.current.remove(self)


class Graph:
    """What was launched, with the addresses that it was launched with."""

    def __init__(self, recorded: list[Callable[[], object]], pool: ledger.OwnPool | None) -> None:
        self.recorded, self.pool = recorded, pool
        self.before = {id(owner): owner.buffer for owner in ledger.of_this_pool(pool)} if pool is not None else {}

    def launch(self, stream: Stream | None = None) -> None:
        """Do all of it again, on the same memory, after what the stream was told before."""
        (stream or get_current_stream()).finish()
        ledger.event("graph")
        if self.pool is not None and (found := self._in_the_way()):
            raise RuntimeError(f"{found} arrays lie in memory that this graph may write to")
        with np.errstate(all="ignore"):
            for do in self.recorded:
                do()

    def _in_the_way(self) -> int:
        """How many arrays that live lie in blocks that were free when the work was recorded."""
        assert self.pool is not None
        return sum(self.before.get(id(o)) is not o.buffer for o in ledger.of_this_pool(self.pool))


def get_current_stream() -> Stream:
    """The stream of the innermost `with` block, or the legacy one."""
    return ledger.current[-1] if ledger.current else Stream.null


Stream.null = Stream()
Stream.null.ptr = 0


class Event:
    """A place in a stream."""

    def __init__(self, disable_timing: bool = False) -> None:
        self.stream: Stream | None = None
        self.time = 0.0

    def record(self, stream: Stream | None = None) -> None:
        """Mark where the stream stands."""
        self.stream, self.time = stream or Stream.null, time.perf_counter()

    @property
    def done(self) -> bool:
        """Whether what came before the event has happened; asking does not wait."""
        return self.stream is None or not self.stream.waiting

    def synchronize(self) -> None:
        """The host waits for what came before the event."""
        ledger.event("sync")
        if self.stream is not None:
            self.stream.finish()


def get_elapsed_time(start: Event, end: Event) -> float:
    """Milliseconds between two events: of this machine, so that they say nothing."""
    return 1e3 * (end.time - start.time)


class Device:
    """One of two devices; which one is in use makes no difference here."""

    current = 0
    compute_capability = "90"

    def __init__(self, device: int = 0) -> None:
        if device >= DEVICES:
            raise CUDARuntimeError(101, "cudaErrorInvalidDevice: invalid device ordinal")
        self.id = device

    def use(self) -> None:
        """Make it the current one."""
        Device.current = self.id

    def synchronize(self) -> None:
        """The host waits."""
        ledger.event("sync")
        Stream.null.finish()

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: Any) -> None:
        pass


class Pool:
    """The shared memory pool."""

    def free_all_blocks(self) -> None:
        """Give back what no array uses."""
        if ledger.capturing is not None:
            raise RuntimeError("blocks are freed while a stream is capturing")
        ledger.pool["held"] = ledger.pool["used"]

    def used_bytes(self) -> int:
        """Bytes of arrays that live."""
        return ledger.pool["used"]

    def total_bytes(self) -> int:
        """Bytes that the pool has of the device."""
        return ledger.pool["held"]

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Allow no more than that."""
        ledger.pool["limit"] = size or 0

    def get_limit(self) -> int:
        """What was set, or 0."""
        return ledger.pool["limit"]


class MemoryPool(ledger.OwnPool):
    """A pool of its own. allocator: called with the bytes that are asked of the device."""

    def __init__(self, allocator: Callable[[int], Any] | None = None) -> None:
        super().__init__()
        self.allocator = allocator or Memory

    def grow(self, size: int) -> None:
        """As CuPy: where the device has no more, free blocks are given back, also those that a graph works on."""
        try:
            self.allocator(size)
        except CUDARuntimeError as error:
            if error.status != 2:
                raise
            raise ledger.OutOfMemoryError(size, self.held) from None

    def malloc(self, size: int) -> Any:
        """For `using_allocator`."""
        raise NotImplementedError("the double allocates by itself")

    def free_all_blocks(self) -> None:
        """Give back what no array uses."""
        self.held = self.used

    def used_bytes(self) -> int:
        """Bytes of arrays that live."""
        return self.used

    def total_bytes(self) -> int:
        """Bytes that the pool has of the device."""
        return self.held


class Memory:
    """Bytes of the device, counted by the pool that asked for them."""

    def __init__(self, size: int) -> None:
        if not ledger.device_has(size):
            raise CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory")


@contextlib.contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    """Take memory from there inside the block."""
    ledger.allocators.append(allocator)
    try:
        yield
    finally:
        ledger.allocators.pop()


def alloc(size: int) -> Any:
    """Bytes on the device."""
    buffer = ledger.allocate(size, np.uint8)
    return types.SimpleNamespace(ptr=buffer.ctypes.data, buffer=buffer, owner=ledger.owner_of(buffer))


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    """Host memory that the device copies from by itself."""
    made = np.full(shape, 0, dtype, order)
    _pinned[id(made)] = made
    return made
